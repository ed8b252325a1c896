"""Studies run, drawn and written: results.json, a table and a figure for each claim, index.html and docs/claims.md."""

import csv
import json
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np

from particles.files import BROKEN, make_folder, versions, whole
from particles.machine import in_processes
from tokenlaw.answers.claim_pages import claims_page, page
from tokenlaw.config.read import ConfigError
from tokenlaw.pictures import paper
from tokenlaw.pictures.studies import draw
from tokenlaw.runs.locks import locked
from tokenlaw.tables import Table
from validation import CLAIMS, Claim, Findings

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
            "second_way": claim.second,
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
