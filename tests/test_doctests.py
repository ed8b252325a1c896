"""Examples in docstrings and pages give what they say, and the gallery is there."""

import ast
import doctest
import importlib
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGES = ("particles", "spde", "validation", "tokenlaw")
MODULES = sorted(
    ".".join(path.relative_to(ROOT).with_suffix("").parts)
    for package in PACKAGES
    for path in (ROOT / package).rglob("*.py")
    if ">>>" in path.read_text(encoding="utf-8")
)
BLOCK = re.compile(r"^```pycon\n(.*?)^```", re.MULTILINE | re.DOTALL)
PAGES = sorted(path for path in (ROOT / "docs").glob("*.md") if BLOCK.search(path.read_text(encoding="utf-8")))
SCRIPTS = sorted((ROOT / "examples" / "gallery").glob("plot_*.py"))


@pytest.mark.parametrize("name", MODULES)
def test_docstrings(name):
    failed, tried = doctest.testmod(importlib.import_module(name))
    assert tried > 0
    assert failed == 0


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_pages(page):
    text = "\n".join(BLOCK.findall(page.read_text(encoding="utf-8")))
    test = doctest.DocTestParser().get_doctest(text, {}, page.name, str(page), 0)
    failed, tried = doctest.DocTestRunner().run(test)
    assert tried > 0
    assert failed == 0


def test_there_are_modules_pages_and_scripts():
    assert len(MODULES) >= 15
    assert [page.name for page in PAGES] == ["equations.md", "extending.md"]
    assert len(SCRIPTS) >= 8


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.stem)
def test_scripts_of_the_gallery(script):
    """They open with a title and words; what they import exists.  They are run when the documentation is built."""
    tree = ast.parse(script.read_text(encoding="utf-8"))
    title, line, _, *words = (ast.get_docstring(tree) or "").splitlines()
    assert line == "=" * len(title)
    assert words
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and str(node.module).partition(".")[0] in PACKAGES:
            module = importlib.import_module(str(node.module))
            for alias in node.names:
                assert hasattr(module, alias.name), (node.module, alias.name)


def test_a_kernel_for_the_configuration_touches_two_files(tmp_path):
    """The two blocks of docs/extending.md, in a copy of the packages: it runs, is listed, and is named in refusals."""
    for package in PACKAGES:
        shutil.copytree(ROOT / package, tmp_path / package, ignore=shutil.ignore_patterns("__pycache__", "studies"))
    text = (ROOT / "docs" / "extending.md").read_text(encoding="utf-8")
    blocks = dict(re.findall(r"^```python\n# (particles/[\w/]+\.py)[^\n]*\n(.*?)^```", text, re.MULTILINE | re.DOTALL))
    assert list(blocks) == ["particles/attention/quadratic.py", "particles/attention/table.py"]
    kernel, table = (tmp_path / name for name in blocks)
    kernel.write_text(blocks["particles/attention/quadratic.py"])
    line, entry = blocks["particles/attention/table.py"].rstrip().split("\n\n")
    table.write_text(table.read_text().replace("\n\nKERNELS", f"\n{line}\n\nKERNELS").replace("\n}", f"\n{entry}\n}}"))
    (tmp_path / "c.toml").write_text(
        "[model]\nd = 3\nbeta = 2.0\nattention = 'quadratic'\n[layers]\nkind = 'transformer'\neta = 0.1\ndepth = 3\n"
        "heads = 2\n[initial]\nkind = 'uniform'\n[simulate]\ntokens = 5\n"
    )

    def said(*words):
        found = subprocess.run([sys.executable, "-m", "tokenlaw", *words], cwd=tmp_path, env=os.environ,
                               capture_output=True, text=True, check=False)  # fmt: skip
        return found.returncode, found.stdout + found.stderr

    code, words = said("simulate", "c.toml", "--out", "f.nc", "-q")
    assert (code, words) == (0, "")
    assert "sinkhorn, quadratic" in said("config", "--defaults")[1]
    (tmp_path / "c.toml").write_text((tmp_path / "c.toml").read_text().replace("quadratic", "other"))
    code, words = said("config", "c.toml")
    assert (code, words.strip()[-20:]) == (2, " sinkhorn, quadratic")
