"""tokenlaw validate: files, verdicts and refusals, with a study that takes no time."""

import csv
import json

import numpy as np
import pytest

from tests.tokenlaw.calls import call
from tokenlaw.answers import claim_pages, validate
from tokenlaw.runs.locks import locked
from validation import STATEMENTS, Claim, Figure, Findings, Part, Second, Series


@pytest.fixture(autouse=True)
def _two_claims(monkeypatch, tmp_path):
    """Two claims whose studies are instant."""
    monkeypatch.chdir(tmp_path)

    def run(self, *, quick, seed):
        rng = np.random.default_rng(seed)
        estimate = (2.0 if self.name == "A2" else 1.0) + 0.001 * rng.standard_normal()
        x = np.arange(1.0, 4.0)
        part = Part("slope <of> a | b", estimate, 0.001, 1.0, 2.0)
        series = (Series("measured", x, x, 0.1 * x), Series("theory", x, x, dashed=True))
        parts = {"main": part}
        if self.name == "A2":
            parts = {
                "sound": Part("a first part that holds", 1.0, 0.01, 1.0, effect=0.5),
                "main": part,
                "exact": Part("an exact number", 0.999999985922, 2.6e-14, 1.0, bias=3e-7, effect=0.1),
                "beside": Part("bound", 0.1, 0.01, 0.5, at_most=True, excludes={"it grows": 1.0}, aside=True),
            }
        figure = Figure("x", "y", series, x_log=True)
        return Findings(parts, figure, {"x": x, "y": x**2}, ("a note",), Second(1.0, 0.001))

    monkeypatch.setattr(Claim, "run", run)
    modules = {"A1": "validation.studies.a1_one", "A2": "validation.studies.a2_two"}
    text = "text with <, & and |"
    both = {name: Claim(place, f"title {name}", text, "Somebody", "", "by hand") for name, place in modules.items()}
    monkeypatch.setattr(validate, "CLAIMS", both)


def test_everything_is_written(tmp_path, capsys):
    assert call("validate", "--out", "out", "--quick", "--seed", "3") == 0
    assert [line.split(" (")[0] for line in capsys.readouterr().err.splitlines()] == ["A1: holds", "A2: corrected"]
    results = json.loads((tmp_path / "out" / "results.json").read_text())
    assert {name: entry["verdict"] for name, entry in results.items()} == {"A1": "holds", "A2": "corrected"}
    for entry in results.values():
        for key in ("verdict", "estimate", "standard_error", "predicted", "corrected", "text", "parts"):
            assert key in entry
        assert entry["seed"] == 3
    with open(tmp_path / "out" / "A1.csv", newline="") as handle:
        assert list(csv.reader(handle)) == [["x", "y"], ["1.0", "1.0"], ["2.0", "4.0"], ["3.0", "9.0"]]
    assert (tmp_path / "out" / "A1.png").read_bytes().startswith(b"\x89PNG")
    page = (tmp_path / "out" / "index.html").read_text()
    assert "slope &lt;of&gt; a" in page
    assert "text with &lt;, &amp;" in page
    markdown = validate.claims_page(results)
    assert "| [A2](#a2) title A2 | corrected | slope <of> a \\| b | 2.0" in markdown  # the part that decides
    assert "0.99999999 ± 2.6e-14 (bias ≤ 3.0e-07)" in markdown
    assert "| *beside the claim:* bound | holds | 0.100 ± 0.010 | ≤ 0.5 |  | it grows: 1 |" in markdown
    assert "- second way: by hand: 1.0000 ± 0.0010, which " in markdown
    assert "Again: `tokenlaw validate A1 --seed 3 --quick --out DIR`." in markdown
    assert all(f"| {one.labels} |" in markdown for one in STATEMENTS)
    assert "Not run for this page since their studies changed: D1, " in markdown
    assert "`validation/studies/a1_one.py`" in markdown


@pytest.mark.parametrize(
    ("number", "want"),
    [
        ((1.5, 0.01), "1.500 ± 0.010"),
        ((0.999999985922, 3e-17), "0.999999985922 ± 3.0e-17"),  # not 0.000000000000
        ((0.999999985922, 3e-14, 0.02), "1.000 ± 3.0e-14"),  # no more digits than the bias leaves
        ((0.12341, 0.0, 1e-3), "0.1234"),
        ((0.5,), "0.5"),
        ((None,), ""),
        ((float("nan"), float("nan")), "nan"),
    ],
)
def test_numbers_show_what_is_known(number, want):
    assert claim_pages.number(*number) == want


def test_claims_of_earlier_calls_stay(tmp_path):
    assert call("validate", "a2", "--out", "out", "--quick", "-q") == 0
    assert call("validate", "A1", "--out", "out", "--quick", "-q") == 0
    assert list(json.loads((tmp_path / "out" / "results.json").read_text())) == ["A1", "A2"]


def test_the_list(capsys):
    assert call("validate", "--list") == 0
    out = capsys.readouterr().out
    assert "A1" in out
    assert "title A2" in out


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["validate", "A9", "--out", "out"], "error: validate A9: no such claim; claims: A1, A2"),
        (["validate", "A1"], "error: validate: give --out DIR, or --list"),
        (["validate", "A1", "--out", "file"], "error: --out file: is a file, must be the name of a folder"),
        (["validate", "A1", "--out", "old"], "error: --out old: results.json there is not a results file of tokenlaw"),
    ],
)
def test_refusals(words, line, tmp_path, capsys):
    (tmp_path / "file").write_text("")
    (tmp_path / "old").mkdir()
    for text in ("[1, 2]", "[" * 100_000):
        (tmp_path / "old" / "results.json").write_text(text)
        assert call(*words) == 2
        assert capsys.readouterr().err == f"{line}\n"


def test_one_command_at_a_time_works_in_a_folder(tmp_path, capsys):
    (tmp_path / "out").mkdir()
    with locked(tmp_path / "out" / "results.json"):
        assert call("validate", "A1", "--out", "out") == 2
    assert "is being written by another run" in capsys.readouterr().err
    assert [path.name for path in (tmp_path / "out").iterdir()] == []


def test_a_table_is_written_whole_or_not_at_all(tmp_path, monkeypatch):
    call("validate", "A1", "--out", "out", "--quiet")
    before = (tmp_path / "out" / "A1.csv").read_bytes()

    class Stops:
        def __init__(self, handle):
            self.handle = handle

        def writerow(self, row):
            self.handle.write("half a line")

        def writerows(self, rows):
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(validate.csv, "writer", Stops)
    with pytest.raises(OSError, match="No space left"):
        validate.execute(["A1"], tmp_path / "out", quick=True, seed=0)
    assert (tmp_path / "out" / "A1.csv").read_bytes() == before


def test_a_results_file_of_others_runs_no_script(tmp_path, capsys):
    """Every text of results.json, replaced by a script one at a time: told as text, or refused."""
    call("validate", "A1", "--out", "out", "--quiet")
    path = tmp_path / "out" / "results.json"
    good = path.read_text()

    def texts(entry, found=()):
        for key in entry if isinstance(entry, dict) else range(len(entry)):
            if isinstance(entry[key], dict | list):
                yield from texts(entry[key], (*found, key))
            else:
                yield (*found, key)

    places = list(texts(json.loads(good)["A1"]))
    assert len(places) > 20
    codes = set()
    for place in places:
        results = json.loads(good)
        holder = results["A1"]
        for key in place[:-1]:
            holder = holder[key]
        holder[place[-1]] = "x'><script>alert(1)</script>"
        path.write_text(json.dumps(results))
        codes.add(call("validate", "A2", "--out", "out", "--quiet"))
        assert "<script" not in (tmp_path / "out" / "index.html").read_text(), place
    assert codes == {0, 2}
