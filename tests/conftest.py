"""Shared fixtures, and one thread in the linear-algebra libraries: several share sums, and last bits, differently."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import scipy.linalg  # noqa: F401 - its library is not that of numpy
from threadpoolctl import threadpool_limits

sys.path.insert(0, str(Path(__file__).parent))
os.environ["OMP_NUM_THREADS"] = "1"  # of the processes that tests start
os.environ.setdefault("TOKENLAW_THREADS", "1")  # tests run beside each other


@pytest.fixture(scope="session", autouse=True)
def _one_blas_thread() -> Iterator[None]:
    with threadpool_limits(1, user_api="blas"):
        yield


@pytest.fixture
def data() -> Path:
    """Folder of the recorded example."""
    return Path(__file__).parent / "data"
