"""What docs/ names exists: objects of the code, tests, files, keys of the configuration, variables of the files."""

import ast
import importlib
import re
from pathlib import Path

import pytest

from docs import rooms
from tests.house import House

ROOT = Path(__file__).parent.parent
PAGES = sorted((ROOT / "docs").glob("*.md"))
PACKAGES = ("particles", "spde", "validation", "tokenlaw")
CODE = re.compile(r"`((?:" + "|".join(PACKAGES) + r")(?:\.\w+)+)`")
TEST = re.compile(r"`?(tests/[\w/]+\.py)(?:::(\w+))?")


def text_of(page):
    return page.read_text(encoding="utf-8")


def found(pattern):
    return sorted({(page.name, *match.groups()) for page in PAGES for match in pattern.finditer(text_of(page))},
                  key=str)  # fmt: skip


@pytest.mark.parametrize(("page", "name"), found(CODE))
def test_code_that_is_named_exists(page, name):
    parts = name.split(".")
    for length in range(len(parts), 0, -1):
        try:
            thing = importlib.import_module(".".join(parts[:length]))
            break
        except ModuleNotFoundError:
            continue
    for part in parts[length:]:
        fields = getattr(thing, "__dataclass_fields__", {}) | getattr(thing, "__annotations__", {})
        assert hasattr(thing, part) or part in fields, f"{page} names {name}"
        thing = getattr(thing, part, None)


@pytest.mark.parametrize(("page", "file", "function"), found(TEST))
def test_tests_that_are_named_exist(page, file, function):
    path = ROOT / file
    assert path.is_file(), f"{page} names {file}"
    tree = ast.parse(path.read_text(encoding="utf-8"))
    names = {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
    assert function is None or function in names, f"{page} names {file}::{function}"


def test_every_row_of_the_theory_has_code_and_test():
    rows = [line for line in text_of(ROOT / "docs" / "theory.md").split("## Equation, code, test")[1].splitlines()
            if line.startswith("|")][2:]  # fmt: skip
    assert len(rows) >= 15
    for row in rows:
        _, equation, code, test, _ = row.split("|")
        assert CODE.search(code), equation
        assert "::" in test, equation


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_to_files(page):
    prose = re.sub(r"^    .*$|`[^`]*`", "", text_of(page), flags=re.MULTILINE)
    for target in re.findall(r"\]\(([\w./-]+\.\w+)\)", prose):
        assert (page.parent / made_from(target)).exists(), target


def made_from(target):
    """The script of a page of the gallery, which is there when the documentation is built; else the page itself."""
    if target == "gallery/index.rst":
        return "../examples/gallery/GALLERY_HEADER.rst"
    return re.sub(r"^gallery/(\w+)\.rst$", r"../examples/gallery/\1.py", target)


def test_every_key_of_the_configuration_is_explained():
    from tokenlaw.config.read import defaults_text

    explained = set(re.findall(r"`([a-z_]+)`", text_of(ROOT / "docs" / "configuration.md")))
    keys = set(re.findall(r"^(?:# )?(\w+) =", defaults_text(), re.MULTILINE))
    sections = set(re.findall(r"^\[(\w+)\]", defaults_text(), re.MULTILINE))
    assert keys - explained == set()
    headings = set(re.findall(r"^## \[(\w+)\]", text_of(ROOT / "docs" / "configuration.md"), re.MULTILINE))
    assert sections == headings


def test_every_variable_of_a_compare_file_is_explained():
    import numpy as np

    from particles import GaussianHeads, Homogenized, Noise, Softmax, Tokens, Uniform
    from spde import Density, DensityFlow, Sphere
    from validation import PairFlow

    explained = set(re.findall(r"`(\w+)[(`]", text_of(ROOT / "docs" / "file_format.md")))
    law = Homogenized(GaussianHeads(3, 0.5, 0.5, 3), Softmax(1.0), 0.02, 2, Noise(0))
    flow = DensityFlow(Sphere(7), law, characteristics=True)
    comparison = PairFlow(flow, _direct(), frozenset())
    points = Uniform(3).sample(np.random.default_rng(0), 4)
    state = comparison.start(Density.from_law(Uniform(3), Sphere(7)), Tokens(points), (points, points))
    dataset = comparison.static(state).merge(comparison.record(state))
    assert {str(name) for name in dataset.variables} - explained == set()
    assert {str(name) for name in dataset.sizes} - {"component", "component2"} <= explained
    assert set(state.arrays()) - explained == set()


def _direct():
    from particles import DirectField

    return DirectField


def test_limits_are_those_of_the_solver():
    from spde import resolution

    text = text_of(ROOT / "docs" / "numerics.md")
    for name in ("LOCAL_LIMIT", "NEGATIVE_LIMIT", "NEGATIVE_MASS_LIMIT", "DEFECT_LIMIT"):
        value = f"{getattr(resolution, name):.0e}".replace("e-0", "e-")
        assert re.search(rf"`{name}`[^\n]*\b{value}\b", text), (name, value)


def test_the_picture_of_the_rooms_is_that_of_the_source():
    drawn = re.findall(r'id="((?:room|arrow) [^"]+)"', (ROOT / "docs" / "rooms.svg").read_text(encoding="utf-8"))
    assert sorted(drawn) == rooms.structure(House()), "python docs/rooms.py draws it anew"


def test_the_picture_follows_the_imports(tmp_path):
    """A ring of rooms loses the arrow of the fewest imports; what follows from other arrows is left out."""
    files = {
        "particles/__init__.py": "from particles.flow import run\n", "particles/noise.py": "A = B = 1\n",
        "particles/a/__init__.py": "from particles.a.x import X\n",
        "particles/a/x.py": "from particles.noise import A\nX = A\n",
        "particles/b/__init__.py": "", "particles/b/y.py": "from particles.a import X\nfrom particles.noise import B\n",
        "particles/b/z.py": "from particles.a.x import X\n", "particles/a/w.py": "from particles.b.y import B\n",
        "particles/flow.py": "from particles.b.y import B\nfrom particles.noise import A\nrun = B\n",
    }  # fmt: skip
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    assert rooms.structure(House(tmp_path)) == [
        "arrow particles/a particles/below", "arrow particles/above particles/b", "arrow particles/b particles/a",
        "room particles/a", "room particles/above", "room particles/b", "room particles/below",
    ]  # fmt: skip
