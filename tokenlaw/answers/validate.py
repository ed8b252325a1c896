"""Studies run, drawn and written: results.json, a table and a figure for each claim, index.html and docs/claims.md."""

import csv
import json
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from particles.files import BROKEN, make_folder, versions, whole
from particles.machine import in_processes
from tokenlaw.config.read import ConfigError
from tokenlaw.pictures import paper
from tokenlaw.pictures.studies import draw
from tokenlaw.pictures.templates import rendered
from tokenlaw.runs.locks import locked
from tokenlaw.tables import Table
from validation import CLAIMS, Claim, Findings, Verdict

Results = dict[str, dict[str, Any]]
RESULTS = "results.json"


def chosen(names: Iterable[str]) -> list[Claim]:
    """Claims by name, case not minded; all of them where none is named."""
    wanted = list(dict.fromkeys(name.upper() for name in names)) or list(CLAIMS)
    for name in wanted:
        if name not in CLAIMS:
            raise ConfigError(f"validate {name}: no such claim; claims: {', '.join(CLAIMS)}")
    return [CLAIMS[name] for name in wanted]


def claims_table(claims: Iterable[Claim]) -> Table:
    """What claims say, and where."""
    rows = []
    for claim in claims:
        text = f"{claim.title}: {claim.text}." + (f" Derived here: {claim.correction}." if claim.correction else "")
        rows.append((claim.name, text, f"  ({claim.source})"))
    return Table(("<4", "", ""), tuple(rows), ("", "claim", "  (source)"))


def execute(
    names: Iterable[str], out: Path, *, quick: bool, seed: int, tell: Callable[[str], None] = lambda text: None
) -> Results:
    """Run studies and write everything to a folder, one command at a time; what other claims left there stays.

    Parameters
    ----------
    names : claims; none for all.   out : folder.   quick : minutes in all instead of hours.
    seed : of all random numbers.   tell : receives a line for each claim.
    """
    claims = chosen(names)
    make_folder(out)
    with locked(out / RESULTS):
        return _run(claims, out, quick, seed, tell)


def _run(claims: Iterable[Claim], out: Path, quick: bool, seed: int, tell: Callable[[str], None]) -> Results:
    results = _earlier(out / RESULTS)
    claims = list(claims)

    def run(claim: Claim) -> tuple[Findings, float]:
        begin = time.monotonic()
        return claim.run(quick=quick, seed=seed), time.monotonic() - begin

    for number, (findings, seconds) in in_processes(run, claims):
        claim = claims[number]
        paper.save(draw(findings.figure, f"{claim.name}: {claim.title}"), out / f"{claim.name}.png", dpi=120)
        _write_table(out / f"{claim.name}.csv", findings)
        results[claim.name] = {
            **findings.as_json(claim.text),
            "source": claim.source,
            "correction": claim.correction,
            "title": claim.title,
            "study": f"{claim.module.replace('.', '/')}.py",
            "quick": quick,
            "seed": seed,
            "date": time.strftime("%Y-%m-%d", time.gmtime()),
            "versions": versions(),
        }
        results = {name: results[name] for name in CLAIMS if name in results}
        _write(out / RESULTS, json.dumps(results, indent=1, default=_plain, allow_nan=True) + "\n")
        _write(out / "index.html", page(results))
        tell(f"{claim.name}: {findings.verdict} ({seconds:.0f} s)")
    return results


def _earlier(path: Path) -> Results:
    """Results of earlier calls in the same folder; a file that is not one of ours is refused."""
    if not path.exists():
        return {}
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        results = {name: entry for name, entry in found.items() if name in CLAIMS}
        claims_page(results), page(results)  # what they show is there, and is what it should be
        return results
    except BROKEN:
        raise ConfigError(f"--out {path.parent}: {path.name} there is not a results file of tokenlaw") from None


def _plain(value: Any) -> Any:
    return value.item() if hasattr(value, "item") else str(value)


def _write(path: Path, text: str) -> None:
    with whole(path) as part:
        part.write_text(text, encoding="utf-8")


def _write_table(path: Path, findings: Findings) -> None:
    columns = {name: np.atleast_1d(values) for name, values in findings.table.items()}
    with whole(path) as part, open(part, "w", newline="", encoding="utf-8") as handle:
        writer = csv.writer(handle)
        writer.writerow(columns)
        writer.writerows(zip(*(values.tolist() for values in columns.values()), strict=True))


def number(value: float | None, error: float = 0.0) -> str:
    """A number with as many digits as its error leaves."""
    if value is None:
        return ""
    if error > 0 and np.isfinite(error):
        digits = max(0, 1 - int(np.floor(np.log10(error))))
        return f"{value:.{min(digits, 12)}f} ± {error:.{min(digits, 12)}f}"
    return f"{value:.6g}"


def page(results: Mapping[str, Mapping[str, Any]]) -> str:
    """index.html: all claims with their numbers, figures and notes."""
    return rendered("claims.html", results=results, number=number, verdict=Verdict)


def claims_page(results: Mapping[str, Mapping[str, Any]]) -> str:
    """docs/claims.md of a run."""
    lines = [
        "# Claims and verdicts",
        "",
        "Written by `python docs/claims.py` from a run of `tokenlaw validate`. The rule of verdicts, and what",
        "*visible* means (a deviation of this size would have been seen), are in [validation](validation.md).",
        "",
        "| claim | verdict | measured | predicted | corrected |",
        "|---|---|---|---|---|",
    ]
    lines += [
        f"| [{name}](#{name.lower()}) {entry['title']} | {entry['verdict']} | "
        f"{number(entry['estimate'], entry['standard_error'])} | {number(entry['predicted'])} | "
        f"{number(entry['corrected'])} |"
        for name, entry in results.items()
    ]
    for name, entry in results.items():
        size = "quick" if entry["quick"] else "full"
        lines += ["", f"## {name}", "", f"**{entry['title']}: {entry['verdict']}.** {entry['text']}."]
        lines += [f"*{entry['source']}.*"]
        if entry["correction"]:
            lines += ["", f"Derived here: {entry['correction']}."]
        lines += ["", "| number | verdict | measured | predicted | corrected | visible |", "|---|---|---|---|---|---|"]
        lines += [
            f"| {part['text'].replace('|', chr(92) + '|')} | {part['verdict']} | "
            f"{number(part['estimate'], part['standard_error'])} | {number(part['predicted'])} | "
            f"{number(part['corrected'])} | {part['visible_deviation']:.2g} |"
            for part in entry["parts"].values()
        ]
        lines += ["", *(f"- {note}" for note in entry["notes"])]
        found = ", ".join(f"{key.removesuffix('_version')} {value}" for key, value in entry["versions"].items())
        lines += ["", f"Study: `{entry['study']}`; {size} run of {entry['date']}, seed {entry['seed']}; {found}."]
    return "\n".join(lines) + "\n"
