"""The face of the toolkit: configuration, command line and plots.

The import packages particles, spde and validation carry plain names; other distributions use them too, and so do files
of users.  Importing tokenlaw makes sure that the ones found are its own.
"""

import _signal  # type: ignore[import-not-found]  # in C: `signal` takes a millisecond to load, in which Ctrl-C hurts
import os
import sys


def _is_the_command() -> bool:
    """Whether this process is the command `tokenlaw`, or `python -m tokenlaw` on its way to it; not a worker of it."""
    name = os.path.basename(sys.argv[0] if sys.argv else "")
    return name in ("tokenlaw", "-m") and "multiprocessing.spawn" not in sys.modules


def _end_at_once(*_: object) -> None:
    """Handler of interrupts until the command line has its own: nothing has begun that would have to be put in order.

    An exception would become a traceback in the middle of an import.
    """
    try:
        os.write(2, b"interrupted\n")
    finally:
        os._exit(130)


if _is_the_command():
    for _number in (_signal.SIGINT, _signal.SIGTERM, getattr(_signal, "SIGHUP", _signal.SIGTERM)):
        if _signal.getsignal(_number) != _signal.SIG_IGN:
            _signal.signal(_number, _end_at_once)

from importlib.util import find_spec  # noqa: E402 - what is loaded takes time, in which Ctrl-C is heard
from pathlib import Path  # noqa: E402

OWN = {
    "particles": "What a transformer is",
    "spde": "What a transformer becomes",
    "validation": "How close finite transformers",
}
"""Our packages, and how the text of each begins."""


def _found(name: str) -> Path | None:
    """Folder or file that `import name` would take, without importing it: `tokenlaw --version` needs none of them."""
    try:
        spec = find_spec(name)
    except ValueError:  # a module that somebody put there by hand
        return None
    if spec is None:
        return None
    if spec.submodule_search_locations is not None:
        return Path(next(iter(spec.submodule_search_locations))).resolve()
    return Path(str(spec.origin)).resolve()


def _remedy(name: str, found: Path) -> str:
    """What helps against a package of others that is found in place of ours."""
    alone = "install tokenlaw in an environment of its own"
    if {"site-packages", "dist-packages"} & set(found.parts):
        from importlib.metadata import packages_distributions

        others = sorted(set(packages_distributions().get(name, ())) - {"tokenlaw"})
        return f"uninstall {' and '.join(others)}, or {alone}" if others else alone
    folders = [Path(entry).resolve() for entry in os.environ.get("PYTHONPATH", "").split(os.pathsep) if entry]
    if found.parent in folders:
        return f"take {found.parent} out of PYTHONPATH, or rename it"
    return "rename it, or start from another folder"


def _check_own_packages(home: Path) -> None:
    for name, text in OWN.items():
        found, own = _found(name), home / name
        if found is None:
            raise ImportError(f"the package {name!r} of tokenlaw is not found at {own}; install tokenlaw again")
        if found != own:
            raise ImportError(f"{found} hides the package {name!r} of tokenlaw ({own}); {_remedy(name, found)}")
        if not (own / "__init__.py").read_text(encoding="utf-8").startswith(f'"""{text}'):
            raise ImportError(f"another distribution wrote over {own}; {_remedy(name, own)}, and install it again")


try:
    _check_own_packages(Path(__file__).resolve().parent.parent)
except ImportError as error:
    if not _is_the_command():
        raise
    print(f"error: {error}", file=sys.stderr)
    sys.exit(2)
