"""The table of claims: each stands with its study, one file a claim, and studies share by studies/shared alone."""

import ast
import importlib
import re
from pathlib import Path

import pytest

from validation import CLAIMS, STATEMENTS, Statement, studies

FOLDER = Path(studies.__file__).parent
FILES = sorted(path for path in FOLDER.glob("*.py") if path.name != "__init__.py")


def test_the_claims_are_in_the_table_in_order():
    order = "D1 D2 D3 D4 P1 S1 S2 S3 S4 L1 L2 L3 M1 M2 M3 M4 V1 V2 C1 C2 C3 T1 T2 A1 A2 A3 N1 E1".split()
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


@pytest.mark.parametrize("name", CLAIMS)
def test_each_main_number_has_a_second_way_or_says_why_not(name):
    """The text is the claim's; the number is found by its study, unless there is none."""
    claim = CLAIMS[name]
    assert claim.second
    source = (FOLDER / f"{claim.module.rpartition('.')[2]}.py").read_text(encoding="utf-8")
    assert ("Second(" in source) is not claim.second.startswith("none")


@pytest.mark.parametrize("name", CLAIMS)
def test_effects_are_what_a_claim_excludes(name):
    """No study sets an effect by hand: each part names what its claim excludes, or has a corrected value."""
    source = (FOLDER / f"{CLAIMS[name].module.rpartition('.')[2]}.py").read_text(encoding="utf-8")
    calls = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call)]
    assert not [call.lineno for call in calls for word in call.keywords if word.arg == "effect"]


def test_the_main_paper_is_told_statement_by_statement():
    labels = [one.labels for one in STATEMENTS]
    assert len(set(labels)) == len(labels) == 15
    for one in STATEMENTS:
        assert set(one.claims) <= set(CLAIMS)
        assert one.claims or one.note
    of_paper = {name for name, claim in CLAIMS.items() if "2604.01978" in claim.source}
    assert of_paper == {name for one in STATEMENTS for name in one.claims}
    with pytest.raises(ValueError, match="say which claims study it"):
        Statement("label", "text", "restated")


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
