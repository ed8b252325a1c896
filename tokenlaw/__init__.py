"""The face of the toolkit: configuration, command line and plots.

The import packages particles, spde and validation carry plain names; other distributions use them too.  Importing
tokenlaw makes sure that the ones found are its own.
"""

from importlib.util import find_spec
from pathlib import Path

OWN = ("particles", "spde", "validation")


def _check_own_packages() -> None:
    home = Path(__file__).resolve().parent.parent
    for name in OWN:
        spec = find_spec(name)  # finds without importing: `tokenlaw --version` needs none of them
        found = Path(str(spec.origin)).resolve().parent if spec and spec.origin else None
        if found != home / name:
            raise ImportError(
                f"the package {name!r} found at {found or 'no place'} is not the one of tokenlaw ({home / name}); "
                "another distribution uses this name: install tokenlaw in an environment of its own"
            )


_check_own_packages()
