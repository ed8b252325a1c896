"""The table of claims: each stands with its study, one file a claim, and studies share by studies/shared alone."""

import ast
import importlib
import re
from pathlib import Path

import pytest

from validation import CLAIMS, studies

FOLDER = Path(studies.__file__).parent
FILES = sorted(path for path in FOLDER.glob("*.py") if path.name != "__init__.py")


def test_the_claims_are_in_the_table_in_order():
    order = "D1 D2 D3 D4 P1 S1 S2 S3 L1 L2 L3 M1 M2 M3 M4 V1 V2 C1 C2 C3 T1 T2 A1 E1 N1 A2 A3".split()
    assert list(CLAIMS) == order


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_file_is_a_claim_with_its_study(path):
    name = path.stem.partition("_")[0].upper()
    module = importlib.import_module(f"validation.studies.{path.stem}")
    assert CLAIMS[name] is module.CLAIM
    assert (module.CLAIM.name, module.CLAIM.module) == (name, module.__name__)
    assert module.__doc__.startswith(f"{name}, ")
    assert "as reported" in module.CLAIM.source
    assert callable(module.study)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_studies_import_no_studies(path):
    tree = ast.parse(path.read_text(encoding="utf-8"))
    modules = [node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    assert not [name for name in modules if re.match(r"validation\.studies(?!\.shared\.)", name)]


def test_a_new_study_is_one_file(tmp_path, monkeypatch):
    (tmp_path / "u7_nothing.py").write_text(
        "from validation import Claim\nCLAIM = Claim(__name__, 'nothing', 'nothing is', 'nobody')\n"
    )
    (tmp_path / "helper.py").write_text("raise AssertionError\n")
    monkeypatch.setattr(studies, "__path__", [*studies.__path__, str(tmp_path)])
    from validation.claims import collected

    assert list(collected())[-1] == "U7"
    assert collected()["U7"].title == "nothing"
