"""Results of studies as pages: index.html, and docs/claims.md with the statements of the main paper."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from tokenlaw.pictures.templates import rendered
from validation import CLAIMS, RESTATEMENT, STATEMENTS, Verdict

Entry = Mapping[str, Any]
SIGNS = {"at most": "≤ ", "at least": "≥ "}


def number(value: float | None, error: float = 0.0, bias: float = 0.0) -> str:
    """A number with as many digits as its error and its bias leave, and the error."""
    if value is None:
        return ""
    scale = max(error, bias)
    if not (scale > 0 and np.isfinite(scale)):
        return f"{value:.6g}"
    digits = min(max(0, 1 - int(np.floor(np.log10(scale)))), 12)
    shown = f"{value:.{digits}f}"
    if not error > 0:
        return shown
    small = f"{error:.{digits}f}"
    return f"{shown} ± {small if float(small) else f'{error:.1e}'}"


def measured(entry: Entry) -> str:
    """Estimate, error, and the bound on what is systematic."""
    bias = float(entry.get("bias", 0.0))
    text = number(entry["estimate"], entry["standard_error"], bias)
    return f"{text} (bias ≤ {bias:.1e})" if bias > 0 else text


def predicted(entry: Entry) -> str:
    """The predicted value, with the sign of a bound."""
    return SIGNS.get(entry.get("bound") or "", "") + number(entry["predicted"])


def excluded(entry: Entry) -> str:
    """What the claim excludes, in words and numbers."""
    return "; ".join(f"{words}: {number(value)}" for words, value in entry.get("excludes", {}).items())


def run_of(entry: Entry) -> str:
    """Size, date and seed of the run."""
    return f"{'quick' if entry['quick'] else 'full'}, {entry['date']}, seed {entry['seed']}"


def versions_of(entry: Entry) -> str:
    """What the run was done with."""
    return ", ".join(f"{key.removesuffix('_version')} {value}" for key, value in entry["versions"].items())


def second_way(entry: Entry) -> str:
    """The second way to the main number, and what it gave."""
    found, words = entry.get("second"), entry.get("second_way", "") or "not stated"
    if not found:
        return words
    verb = "agrees" if found["agrees"] else "disagrees"
    return f"{words}: {number(found['value'], found['standard_error'], found['bias'])}, which {verb}"


def deciding(entry: Entry) -> Entry:
    """The part that decides."""
    parts: Mapping[str, Entry] = entry["parts"]
    return parts.get(entry.get("deciding", ""), entry)


def page(results: Mapping[str, Entry]) -> str:
    """index.html: all claims with their numbers, figures and notes."""
    tools = (number, measured, predicted, excluded, second_way, deciding, run_of)
    return rendered("claims.html", results=results, verdict=Verdict, **{tool.__name__: tool for tool in tools})


def row(*cells: str) -> str:
    """A row of a table in Markdown."""
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def paper_table(results: Mapping[str, Entry]) -> Iterator[str]:
    """The statements of the main paper with what became of them."""
    yield from (
        "## The main paper, statement by statement",
        "",
        "Koubbi, Geshkovski and Rigollet 2604.01978, with the labels of its source. *Restated* is what a formal",
        f"restatement in Lean by others, {RESTATEMENT}, found or left open.",
        "",
        row("label", "statement, as reported", "restated", "our study", "verdict"),
        "|---|---|---|---|---|",
    )
    for one in STATEMENTS:
        linked = (f"[{name}](#{name.lower()})" if name in results else name for name in one.claims)
        links = ", ".join(linked) or "none"
        verdicts = ", ".join(f"{name} {results[name]['verdict']}" for name in one.claims if name in results)
        yield row(one.labels, one.text, one.restated, links + (f": {one.note}" if one.note else ""), verdicts)


def claim_section(name: str, entry: Entry) -> Iterator[str]:
    """One claim with all its numbers."""
    yield from ("", f"## {name}", "", f"**{entry['title']}: {entry['verdict']}.** {entry['text']}.")
    yield f"*{entry['source']}.*"
    if entry["correction"]:
        yield from ("", f"Derived here: {entry['correction']}.")
    yield from ("", row("number", "verdict", "measured", "predicted", "corrected", "excluded", "visible"))
    yield "|---|---|---|---|---|---|---|"
    for part in entry["parts"].values():
        words = f"*beside the claim:* {part['text']}" if part.get("aside") else part["text"]
        yield row(
            words, part["verdict"], measured(part), predicted(part), number(part["corrected"]), excluded(part),
            f"{part['visible_deviation']:.2g}",
        )  # fmt: skip
    yield from ("", *(f"- {note}" for note in entry["notes"]), f"- second way: {second_way(entry)}")
    again = f"tokenlaw validate {name} --seed {entry['seed']}{' --quick' if entry['quick'] else ''} --out DIR"
    yield from ("", f"Study: `{entry['study']}`; {run_of(entry)}; {versions_of(entry)}. Again: `{again}`.")


def claims_page(results: Mapping[str, Entry]) -> str:
    """docs/claims.md of a run."""
    lines = [
        "# Claims and verdicts",
        "",
        "Written by `python docs/claims.py` from a run of `tokenlaw validate`. Each row shows the number that decides.",
        "The rule of verdicts, and what *visible* and *excluded* mean, are in [validation](validation.md).",
        "",
        row("claim", "verdict", "number that decides", "measured", "predicted", "corrected", "run"),
        "|---|---|---|---|---|---|---|",
    ]
    for name, entry in results.items():
        part = deciding(entry)
        title = f"[{name}](#{name.lower()}) {entry['title']}"
        numbers = (measured(part), predicted(part), number(part["corrected"]))
        lines.append(row(title, entry["verdict"], part["text"], *numbers, run_of(entry)))
    missing = [name for name in CLAIMS if name not in results]
    if missing:
        lines += ["", f"Not run for this page since their studies changed: {', '.join(missing)}."]
    lines += ["", *paper_table(results)]
    for name, entry in results.items():
        lines += claim_section(name, entry)
    return "\n".join(lines) + "\n"
