"""Worker processes: an embedded cluster on this machine, or the workers of a scheduler that is already there."""

import asyncio
import logging
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, Final

import dask
from distributed import Client, LocalCluster, Security, rpc
from distributed.utils import silence_logging_cmgr

from tokenlaw.config.read import ConfigError
from tokenlaw.ensemble.dask_settings import misfit

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
    # What watches a worker from within takes turns with its run: 280 times a second with the defaults.
    "distributed.worker.profile.enabled": False,
    "distributed.admin.system-monitor.gil.enabled": False,
    "distributed.admin.system-monitor.interval": "10s",
    "distributed.admin.tick.interval": "1s",
    # Ctrl-C on a terminal reaches every process; workers are ended by the one that started them.
    "distributed.worker.preload": ["import signal; signal.signal(signal.SIGINT, signal.SIG_IGN)"],
}


# Of the embedded cluster, whose servers speak to nobody else: no pages.
ALONE: Final[dict[str, list[str]]] = {"distributed.scheduler.http.routes": [], "distributed.worker.http.routes": []}


@contextmanager
def workers(scheduler: str | None, n_workers: int) -> Iterator[Client]:
    """A client of workers with one thread each; workers of the embedded cluster end with the block.

    The embedded cluster listens on the loopback interface, where every user of the machine can knock, and whoever is
    let in may run code. So it speaks TLS with a certificate made for this cluster alone, known to its processes and to
    nobody else, and both ends of a connection must show it.

    Parameters
    ----------
    scheduler : address of a running scheduler, or None for an embedded cluster.
    n_workers : processes of the embedded cluster.

    Raises
    ------
    ConfigError : no scheduler at the address, its workers have several threads, or settings of Dask do not fit.
    """
    with dask.config.set(SETTINGS), silence_logging_cmgr(logging.CRITICAL):
        if scheduler is not None:
            with _connected(scheduler) as client:
                yield client
            return
        with dask.config.set(ALONE), ExitStack() as started:
            try:
                cluster = started.enter_context(_embedded(n_workers))
                client = started.enter_context(Client(cluster))
            except Exception as error:
                raise misfit(error) from None
            yield client


def _embedded(n_workers: int) -> LocalCluster:
    return LocalCluster(
        n_workers=n_workers, threads_per_worker=1, processes=True, memory_limit=0,
        dashboard_address=None, silence_logs=logging.CRITICAL, host="127.0.0.1", protocol="tls://",
        security=Security.temporary(),
    )  # fmt: skip


@contextmanager
def _connected(address: str) -> Iterator[Client]:
    try:
        known = asyncio.run(_identity(address)).get("workers")
        if known is None:
            raise ValueError("a worker answers there, no scheduler")
        client = Client(address, timeout=PATIENCE)
    except Exception as error:  # a server of another kind may send what reads as a size beyond all memory
        says_why = isinstance(error, ValueError | TypeError)
        reason = " ".join(str(error).split()) if says_why else "no scheduler answers there"
        raise ConfigError(f"--scheduler {address}: {reason}; must be an address like tcp://host:8786") from None
    with client:
        for name, worker in known.items():
            if worker["nthreads"] != 1:
                raise ConfigError(
                    f"--scheduler {address}: the worker {name} has {worker['nthreads']} threads; start workers with "
                    "one thread each: dask worker --nthreads 1 --nworkers N"
                )
        yield client


async def _identity(address: str) -> dict[str, Any]:
    """What a server says it is; `Client` waits without end for one that takes the connection and says nothing."""
    async with (
        asyncio.timeout(PATIENCE),
        rpc(address, connection_args=Security().get_connection_args("client")) as server,
    ):
        found: dict[str, Any] = await server.identity()
        return found
