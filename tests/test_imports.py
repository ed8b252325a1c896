"""Imports run down only: tokenlaw -> validation -> spde -> particles; transforms are called from few places.

They are read from the source with `ast`: imports inside functions and behind TYPE_CHECKING count too.  Other packages
are imported by their faces, nothing runs in a circle, and rooms, files and functions stay small: `tests.house`.
"""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.house import House, parsed

ROOT = Path(__file__).resolve().parents[1]

BELOW: dict[str, set[str]] = {
    "particles": set(),
    "spde": {"particles"},
    "validation": {"spde", "particles"},
    "tokenlaw": {"validation", "spde", "particles"},
}
# Library -> files that may import it: exact files, or everything under a folder (with a closing slash).
CONFINED = {
    "shtns": ("spde/domain/transforms.py",),
    "ducc0": (
        "spde/domain/transforms.py", "spde/domain/tables.py", "spde/domain/circle.py", "spde/files/maps.py",
        "particles/",
    ),
    "torch": ("particles/attention/torch_sdpa.py", "tokenlaw/observe/door.py"),
    "transformers": ("tokenlaw/observe/door.py",),
}


def imported_names(tree: ast.Module, package: tuple[str, ...]) -> Iterator[tuple[int, str]]:
    """Yield (line, absolute dotted name) for every import of a module that lies in `package`."""
    for node in ast.walk(tree):
        match node:
            case ast.Import(names=names):
                yield from ((node.lineno, alias.name) for alias in names)
            case ast.ImportFrom(module=module, level=0):
                yield node.lineno, module or ""
            case ast.ImportFrom(module=module, names=names, level=level):
                parents = package[: max(len(package) - level + 1, 0)]
                for name in [module] if module else [alias.name for alias in names]:
                    yield node.lineno, ".".join((*parents, name))
            case ast.Call(
                func=ast.Name(id="__import__" | "import_module") | ast.Attribute(attr="import_module"),
                args=[ast.Constant(value=str(name)), *_],
            ):
                yield node.lineno, name


def forbidden_imports(root: Path) -> list[str]:
    """List the imports below `root` that break the rule, as "file:line imports name"."""
    found = []
    for owner in BELOW:
        for path in sorted((root / owner).rglob("*.py")):
            where = path.relative_to(root)
            for line, name in imported_names(parsed(path.read_text(encoding="utf-8")), where.parent.parts):
                top = name.partition(".")[0]
                upward = top in BELOW and top != owner and top not in BELOW[owner]
                allowed = CONFINED.get(top)
                confined = allowed is not None and not any(
                    where.as_posix() == place or (place.endswith("/") and where.as_posix().startswith(place))
                    for place in allowed
                )
                if upward or confined:
                    found.append(f"{where.as_posix()}:{line} imports {name}")
    return found


def write(root: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text, encoding="utf-8")


@pytest.mark.parametrize("package", BELOW)
def test_package_has_source(package):
    assert (ROOT / package / "__init__.py").is_file()


def test_imports_run_down():
    assert forbidden_imports(ROOT) == []


def test_nothing_imports_the_commands():
    """They are the door: only themselves, and `python -m tokenlaw`, know them."""
    found = []
    for path in sorted(path for owner in BELOW for path in (ROOT / owner).rglob("*.py")):
        where = path.relative_to(ROOT)
        if where.parts[:2] != ("tokenlaw", "commands") and where.as_posix() != "tokenlaw/__main__.py":
            names = imported_names(parsed(path.read_text(encoding="utf-8")), where.parent.parts)
            found += [f"{where}:{line}" for line, name in names if name.startswith("tokenlaw.commands")]
    assert found == []


def test_allowed_imports_pass(tmp_path):
    write(
        tmp_path,
        {
            "particles/attention/base.py": "import ducc0\nimport numpy as np\nfrom .heads import Heads\n",
            "particles/reduced/simplex.py": "from ducc0 import misc\nfrom ..heads import Heads\n",
            "spde/domain/transforms.py": "def load():\n    import shtns\n    from ducc0 import sht\n",
            "spde/domain/circle.py": "from ducc0 import nufft\n",
            "spde/flow.py": "import particles.layers.base\nfrom . import sphere\n",
            "validation/distances/exact.py": "from spde import Density\nfrom particles import Tokens\n",
            "tokenlaw/commands/app.py": "import particles, spde, validation\nimport particlesize\n",
        },
    )
    assert forbidden_imports(tmp_path) == []


@pytest.mark.parametrize(
    ("file", "source", "name"),
    [
        ("particles/flow.py", "import spde", "spde"),
        ("particles/flow.py", "from spde.field.sphere import SpectralField", "spde.field.sphere"),
        ("particles/reduced/simplex.py", "from validation import claims", "validation"),
        ("particles/flow.py", "import typing\nif typing.TYPE_CHECKING:\n    import spde", "spde"),
        ("spde/flow.py", "def f():\n    import validation.claims", "validation.claims"),
        ("spde/flow.py", "import numpy, tokenlaw", "tokenlaw"),
        ("validation/claims.py", "from tokenlaw.config.read import load", "tokenlaw.config.read"),
        ("validation/claims.py", "import importlib\nimportlib.import_module('tokenlaw.files')", "tokenlaw.files"),
        ("spde/flow.py", "import shtns", "shtns"),
        ("spde/field/circle.py", "from ducc0.fft import c2c", "ducc0.fft"),
        ("spde/transforms/__init__.py", "import shtns", "shtns"),
        ("particles/field.py", "import shtns", "shtns"),
        ("tokenlaw/pictures/page.py", "import ducc0", "ducc0"),
        ("particles/attention/base.py", "def f():\n    import torch", "torch"),
    ],
)
def test_forbidden_import_is_found(tmp_path, file, source, name):
    write(tmp_path, {"spde/domain/transforms.py": "import shtns\n", file: source + "\n"})
    line = source.count("\n") + 1
    assert forbidden_imports(tmp_path) == [f"{file}:{line} imports {name}"]


# --- the house: faces, circles, sizes

RULES = {
    "imports past a face": House.past_faces, "circles": House.circles, "crowded folders": House.crowded,
    "long files": House.long_files, "long functions": House.long_functions,
}  # fmt: skip
SOUND = {
    "particles/__init__.py": "from particles.flow import run\n",
    "particles/flow.py": "from particles.noise import Noise\n",
    "particles/noise.py": "",
    "spde/__init__.py": "",
    "spde/flow.py": "import particles\nfrom particles import run\nfrom spde.domain import Domain\n",
    "spde/domain/__init__.py": "from spde.domain.base import Domain\n",
    "spde/domain/base.py": "class Domain: ...\n",
}


@pytest.mark.parametrize("rule", RULES)
def test_the_house_is_in_order(rule):
    assert RULES[rule](House()) == []


@pytest.mark.parametrize("rule", RULES)
def test_a_sound_house_is_called_so(tmp_path, rule):
    long = "def f():\n    \"\"\"Forty lines of code.\n" + "\n" * 150 + "    \"\"\"\n" + "    # why\n\n    f()\n" * 39
    studies = {f"validation/studies/s{k}.py": "" for k in range(30)}
    write(tmp_path, SOUND | studies | {"spde/many.py": "\n" * 300, "spde/long.py": long[:-1]})
    assert RULES[rule](House(tmp_path)) == []


@pytest.mark.parametrize(
    ("rule", "files", "found"),
    [
        ("imports past a face", {"spde/flow.py": "from particles.noise import Noise\n"},
         ["spde/flow.py:1 imports particles.noise"]),
        ("imports past a face", {"spde/flow.py": "from particles import noise\n"},
         ["spde/flow.py:1 imports particles.noise"]),
        ("imports past a face", {"spde/flow.py": "def f():\n    import particles.noise\n"},
         ["spde/flow.py:2 imports particles.noise"]),
        ("circles", {"particles/noise.py": "def f():\n    from particles.flow import run\n"},
         ["particles.noise <- particles.flow <- particles.noise"]),
        ("circles", {"spde/flow.py": "import spde.state\n", "spde/state.py": "import spde.given\n",
                     "spde/given.py": "import spde.flow\n"},
         ["spde.flow <- spde.given <- spde.state <- spde.flow"]),
        ("crowded folders", {f"spde/field/f{k}.py": "" for k in range(19)}, ["spde/field: 19 files"]),
        ("long files", {"spde/flow.py": "\n" * 301}, ["spde/flow.py: 301 lines"]),
        ("long functions", {"spde/flow.py": "class A:\n    async def f(self):\n" + "        f()\n" * 40},
         ["spde/flow.py: f, 41 lines"]),
        ("long functions", {"spde/flow.py": "def f():\n    def g():\n" + "        g()\n" * 39},
         ["spde/flow.py: f, 41 lines"]),
    ],
)  # fmt: skip
def test_disorder_is_found(tmp_path, rule, files, found):
    write(tmp_path, SOUND | files)
    got = RULES[rule](House(tmp_path))
    if rule == "circles":  # a ring may be told from any of its modules on
        got, found = ([sorted(set(ring.split(" <- "))) for ring in rings] for rings in (got, found))
    assert got == found
