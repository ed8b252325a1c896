"""xarray, loaded when something of it is first used: its import takes as long as those of all other libraries here.

    if TYPE_CHECKING:
        import xarray as xr
    else:
        from particles.files import late_xarray as xr

Annotations are not evaluated where `from __future__ import annotations` stands.
"""

from importlib import import_module
from typing import Any

from particles.machine.interrupts import undisturbed
from particles.machine.locks import FILES


def __getattr__(name: str) -> Any:
    if name.startswith("__"):  # what is asked of every module: this one is no package, and has no submodules
        raise AttributeError(name)
    # In the middle of an import an interrupt becomes a traceback, and a fork, which waits for FILES, a lock for ever.
    with FILES, undisturbed():
        found = getattr(import_module("xarray"), name)
    globals()[name] = found
    return found
