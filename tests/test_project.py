"""What surrounds the code: one version, workflows of Makefile commands, a paper whose numbers stand in docs."""

import re
import tomllib
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
PAPER = (ROOT / "docs" / "paper" / "paper.md").read_text(encoding="utf-8")
# Number in the paper -> page with it, and how it stands there.
NUMBERS = {
    "0.39": ("docs/performance.md", "0.39 at 63"),
    "0.21": ("docs/performance.md", "0.21 at 127"),
    "0.98 of the time": ("docs/performance.md", r"heads, n = 16384, double: time \| [^|]+ \| torch sdpa \| 0\.98"),
    "0.37": ("README.md", "tokens end at a mean cosine of 0.37"),
    "10^4": ("README.md", "gradient at the embeddings is 10⁴ times"),
    "3e-13 after 20 steps (degree 31)": ("docs/numerics.md", "`flow`, 20 steps, lmax 31: largest error 3e-13"),
    "4e-14 (degree 127)": ("docs/models.md", "lmax 127: 4e-14"),
    "6.1e6": ("docs/models.md", r"largest density 6\.1e6 .* 3\.5e-11"),
    "3.5e-11": ("docs/models.md", r"3\.5e-11"),
    "2e-11": ("docs/attention.md", "the blow-up time to 2e-11"),
    "0.48 over 64 paths": ("docs/numerics.md", r"64 paths [\s\S]*?slope 0\.48"),
    "0.2381": ("docs/real_networks.md", r"\| GPT-2 \| 0.02 \| 256, 12, 128 \| 0.2381 \| 0.2431 \| 0.0055"),
    "0.2431": ("docs/real_networks.md", "0.2431"),
    "1,600 dense": ("docs/forecast.md", "1,600 dense networks"),
    "between 88 and 93 percent": ("docs/forecast.md", r"0\.880 to .*[\s\S]*0\.930"),
}


def text(name):
    return (ROOT / name).read_text(encoding="utf-8")


def test_one_version_everywhere():
    version = PROJECT["version"]
    citation, recipe = yaml.safe_load(text("CITATION.cff")), yaml.safe_load(text("conda/recipe.yaml"))
    assert citation["version"] == recipe["context"]["version"] == version
    assert citation["license"] == recipe["about"]["license"] == PROJECT["license"]
    heads = re.findall(r"^## \[(.+?)\](?: - (\S+))?$", text("CHANGELOG.md"), re.MULTILINE)
    assert heads[0] == ("Unreleased", "")
    assert heads[1][0] == version
    assert str(citation["date-released"]) == heads[1][1]
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\d", date) for _, date in heads[1:])


def test_the_changelog_has_each_kind_once_in_a_version():
    for part in re.split(r"^## ", text("CHANGELOG.md"), flags=re.MULTILINE)[1:]:
        kinds = re.findall(r"^### (.+)$", part, re.MULTILINE)
        assert len(kinds) == len(set(kinds))
        assert set(kinds) <= {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}


def test_the_recipe_asks_for_what_the_distribution_asks_for():
    conda = {"netCDF4": "netcdf4", "POT": "pot", "matplotlib": "matplotlib-base", "dask[distributed]": "dask-core"}
    asked = {re.split(r"(?=[<>=])", line, maxsplit=1)[0]: line for line in PROJECT["dependencies"]}
    want = {conda.get(name, name): line.removeprefix(name) for name, line in asked.items()}
    want |= {"python": PROJECT["requires-python"], "distributed": want["dask-core"]}
    given = dict(line.split(" ") for line in yaml.safe_load(text("conda/recipe.yaml"))["requirements"]["run"])
    assert given == want


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_workflows_run_the_commands_of_the_makefile(path):
    found = yaml.safe_load(path.read_text())
    assert found["permissions"] == {"contents": "read"}
    lines = [step["run"] for job in found["jobs"].values() for step in job.get("steps", ()) if "run" in step]
    for line in lines:
        for target in re.findall(r"\bmake (?:\w+=\S+ )*(\w+)", line):
            assert re.search(rf"^{target}:", text("Makefile"), re.MULTILINE), line
        assert not re.search(r"pytest|mypy|ruff|sphinx|build", line), f"{line}: is the Makefile's"
    called = [job["uses"] for job in found["jobs"].values() if "uses" in job]
    assert all((ROOT / name).is_file() for name in called)


def test_all_that_ci_is_for_is_there():
    commands = "\n".join(path.read_text() for path in WORKFLOWS)
    for target in ("check", "test", "docs", "dist", "lowest"):
        assert re.search(rf"run: make .*\b{target}$", commands, re.MULTILINE)
    versions = yaml.safe_load(text(".github/workflows/tests.yml"))["jobs"]["tests"]["strategy"]["matrix"]
    assert versions == {"python-version": ["3.11", "3.12", "3.13", "3.14"]}


def test_the_paper_is_short_and_its_references_are_there():
    body = PAPER.split("---", 2)[2]
    assert 700 < len(re.sub(r"\[@\w+\]", "", body).split()) < 1200
    cited = set(re.findall(r"@(\w+)", body))
    known = set(re.findall(r"^@\w+\{(\w+),$", text("docs/paper/paper.bib"), re.MULTILINE))
    assert cited == known
    numbers = set(re.findall(r"eprint = \{(26[\d.]+|25[\d.]+)\}", text("docs/paper/paper.bib")))
    assert all(f"arXiv {number}" in text("README.md").replace("\n", " ") for number in numbers)


@pytest.mark.parametrize("number", NUMBERS)
def test_numbers_of_the_paper_stand_in_the_documentation(number):
    page, there = NUMBERS[number]
    assert number in re.sub(r"\s+", " ", PAPER)
    assert re.search(there, text(page)), f"{page} no longer says {there}"


def test_no_other_precise_number_stands_in_the_paper():
    """Those of claims are compared with docs/claims.md; others with more than one digit behind the point are listed."""
    claims = text("docs/claims.md")
    for value, error in re.findall(r"(-?\d\.\d+) ± (\d\.\d+)", PAPER):
        digits = len(value.split(".")[1])
        rows = re.findall(r"(-?\d+\.\d+) ± (\d\.\d+)", claims)
        assert any((f"{float(a):.{digits}f}", f"{float(b):.{digits}f}") == (value, error) for a, b in rows), value
    left = re.sub(r"-?\d\.\d+ ± \d\.\d+", "", PAPER.split("---", 2)[2])
    listed = " ".join(NUMBERS) + " " + " ".join(there for _, there in NUMBERS.values()).replace("\\", "")
    assert [one for one in re.findall(r"\d+\.\d\d+|\d(?:\.\d)?e-?\d+", left) if one not in listed] == []


def test_the_container_runs_what_the_quickstart_runs():
    lines, make = text("Dockerfile"), text("Makefile")
    for command in re.findall(r"bin/tokenlaw (\w+) (?:examples/)?(?:out/)?quickstart", make):
        assert f"tokenlaw {command} quickstart." in lines
    assert "tokenlaw config --example quickstart" in lines
