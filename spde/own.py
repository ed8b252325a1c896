"""Imported first: a package of others that has the name of the one below is refused; `import tokenlaw` checks all."""

from importlib.util import find_spec
from pathlib import Path

_spec, _own = find_spec("particles"), Path(__file__).resolve().parent.parent / "particles"
_found = Path(str(_spec.origin)).parent.resolve() if _spec is not None else None
if _found != _own:
    raise ImportError(
        f"'particles' found in {_found} hides the package of tokenlaw ({_own}); rename it, take its folder from "
        "PYTHONPATH, or install tokenlaw in an environment of its own"
    )
