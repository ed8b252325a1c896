"""The door to torch and transformers: local files only, nothing from a network, nothing said on the side."""

import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import metadata
from typing import Any

MISSING = 'real networks need torch and transformers: pip install "tokenlaw[networks]"'


@contextmanager
def networks() -> Iterator[tuple[Any, Any]]:
    """The modules torch and transformers; within, neither of them warns, logs or draws bars.

    The library is told once and for all that there is no network (HF_HUB_OFFLINE), and torch's random numbers are as
    they were at the end.

    Raises
    ------
    ValueError : one of them is not installed.
    """
    os.environ["HF_HUB_OFFLINE"] = "1"
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            import torch
            import transformers
        except ImportError as error:
            raise ValueError(f"{MISSING} ({error.name or error} is not there)") from None
        logging = transformers.utils.logging
        level, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
        logging.set_verbosity(logging.CRITICAL)
        logging.disable_progress_bar()
        try:
            with torch.random.fork_rng(devices=[]):
                yield torch, transformers
        finally:
            logging.set_verbosity(level)
            if bars:
                logging.enable_progress_bar()


def versions() -> dict[str, str]:
    """Versions of both, as file attributes."""
    return {f"{name}_version": metadata.version(name) for name in ("torch", "transformers")}
