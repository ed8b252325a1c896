"""The user's settings of Dask, which is loaded by xarray and by ensembles: what does not fit is one line."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module

from tokenlaw.config.toml import ConfigError


def misfit(error: BaseException) -> ConfigError:
    """What Dask makes of its settings, with the places where they are."""
    while (within := error.__cause__ or error.__context__) and str(within) not in str(error):  # it says why, not where
        error = within
    reason = " ".join(f"{type(error).__name__}: {error}".split())
    given = sorted(name for name in os.environ if name.startswith("DASK_"))
    variables = f"the variables {', '.join(given)}" if given else "variables DASK_... (none is set)"
    return ConfigError(
        f"Dask does not start with the settings that it finds ({reason}); look into {variables} and the files "
        f"of {os.environ.get('DASK_CONFIG', '~/.config/dask')}"
    )


@contextmanager
def fitting(module: str = "dask") -> Iterator[None]:
    """Load Dask, or all of it as "distributed"; within, arrays are not given to a scheduler of the user's.

    Raises
    ------
    ConfigError : the settings do not fit.
    """
    try:
        dask = import_module("dask")
        import_module(module)
    except ImportError:
        raise
    except Exception as error:  # whatever a library makes of a setting
        raise misfit(error) from None
    with dask.config.set(scheduler="synchronous", get=None):
        yield
