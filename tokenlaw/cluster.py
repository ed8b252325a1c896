"""Worker processes: an embedded cluster on this machine, or the workers of a scheduler that is already there."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import dask
from distributed import Client, LocalCluster

from tokenlaw.config import ConfigError

PATIENCE: Final = 10.0  # seconds until a scheduler that does not answer is given up
ENVIRONMENT: Final = {
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "TOKENLAW_THREADS": "1",
}
SETTINGS: Final = {
    # The scheduler blames a worker's death on every run that waits there; the runs themselves count whose it was.
    "distributed.scheduler.allowed-failures": 1_000_000,
    # A worker in the middle of a long step does not answer.
    "distributed.scheduler.worker-ttl": None,
    "distributed.nanny.pre-spawn-environ": ENVIRONMENT,
    "distributed.comm.timeouts.connect": PATIENCE,
    # Ctrl-C on a terminal reaches every process; workers are ended by the one that started them.
    "distributed.worker.preload": ["import signal; signal.signal(signal.SIGINT, signal.SIG_IGN)"],
}


@contextmanager
def workers(scheduler: str | None, n_workers: int) -> Iterator[Client]:
    """A client of workers with one thread each; workers of the embedded cluster end with the block.

    Parameters
    ----------
    scheduler : address of a running scheduler, or None for an embedded cluster.
    n_workers : processes of the embedded cluster.

    Raises
    ------
    ConfigError : no scheduler at the address, or its workers have several threads.
    """
    with dask.config.set(SETTINGS):
        if scheduler is not None:
            with _connected(scheduler) as client:
                yield client
            return
        with (
            LocalCluster(
                n_workers=n_workers, threads_per_worker=1, processes=True, memory_limit=0,
                dashboard_address=None, silence_logs=logging.CRITICAL, host="127.0.0.1",
            ) as cluster,
            Client(cluster) as client,
        ):  # fmt: skip
            yield client


@contextmanager
def _connected(address: str) -> Iterator[Client]:
    try:
        client = Client(address, timeout=PATIENCE)
    except (OSError, ValueError, TypeError) as error:
        reason = "no scheduler answers there" if isinstance(error, OSError) else " ".join(str(error).split())
        raise ConfigError(f"--scheduler {address}: {reason}; must be an address like tcp://host:8786") from None
    with client:
        known: dict[str, Any] = client.scheduler_info(n_workers=-1)["workers"]
        for name, worker in known.items():
            if worker["nthreads"] != 1:
                raise ConfigError(
                    f"--scheduler {address}: the worker {name} has {worker['nthreads']} threads; start workers with "
                    "one thread each: dask worker --nthreads 1 --nworkers N"
                )
        yield client
