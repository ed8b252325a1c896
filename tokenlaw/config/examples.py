"""The examples that come with the toolkit: configurations to begin with, as text with their comments."""

from importlib import metadata
from pathlib import Path

from tokenlaw.config.read import ConfigError

__all__ = ["example", "examples"]

CHECKOUT = Path(__file__).parents[2]
INSTALLED = "share/tokenlaw/examples"


def examples() -> dict[str, Path]:
    """Name -> file: those of the sources where the toolkit runs from them, else those that were installed with it."""
    if (CHECKOUT / "pyproject.toml").is_file():
        found = list((CHECKOUT / "examples").glob("*.toml"))
    else:
        files = metadata.files("tokenlaw") or []
        found = [Path(str(one.locate())) for one in files if one.parent.as_posix().endswith(INSTALLED)]
    return {path.stem: path for path in sorted(found)}


def example(name: str) -> str:
    """The text of an example; ConfigError, with all names, where there is none of that name."""
    there = examples()
    if name not in there:
        raise ConfigError(f"--example {name}: no example has this name; there are {', '.join(there)}")
    return there[name].read_text(encoding="utf-8")
