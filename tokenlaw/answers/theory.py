"""`tokenlaw theory`: exact one-dimensional and closed-form results by name; the entries are in modules of their own."""

import json
from collections.abc import Sequence
from typing import Any

import tokenlaw.answers.overlaps as _overlaps  # noqa: F401  its entries
import tokenlaw.answers.scores as _scores  # noqa: F401  its entries
from tokenlaw.answers.arguments import nearest, read_arguments
from tokenlaw.answers.entries import ENTRIES, Entry, Result
from tokenlaw.config.toml import show
from tokenlaw.tables import Table, finite

__all__ = ["ENTRIES", "Entry", "evaluate", "explain", "explanation", "find", "to_json", "to_table"]


def find(name: str) -> Entry:
    """Entry of a name; ValueError of one line that says the nearest."""
    if name not in ENTRIES:
        raise ValueError(f"theory: unknown name {show(name)}{nearest(name, ENTRIES)}; names: {', '.join(ENTRIES)}")
    return ENTRIES[name]


def evaluate(name: str, settings: Sequence[str]) -> Result:
    """Results of an entry for "key=value" settings; ValueError of one line for anything that is not allowed."""
    entry = find(name)
    where = f"theory {entry.name}"
    values = read_arguments(entry.arguments, settings, where)
    try:
        return entry.compute(**values)
    except ValueError as error:
        raise ValueError(f"{where}: {error}") from None


def to_json(result: Result) -> str:
    """One JSON object; what is not finite becomes null."""
    return json.dumps(finite(result), allow_nan=False)


def to_table(name: str, result: Result) -> Table:
    """One line a result: key, value, meaning."""
    values = {key: f"{value:.12g}" if isinstance(value, float) else f"{value}" for key, value in result.items()}
    width, wide = max(map(len, values)), max(map(len, values.values()))
    meanings = ENTRIES[name].results
    rows = tuple((key, value, meanings[key]) for key, value in values.items())
    return Table((f"<{width + 2}", f"<{wide + 2}", ""), rows)


def explain(names: Sequence[str]) -> dict[str, dict[str, Any]]:
    """What entries take and give, in plain data."""
    return {
        entry.name: {
            "summary": entry.summary,
            "arguments": {
                a.name: {"meaning": a.meaning, "allowed": a.allowed, "default": a.default_text} for a in entry.arguments
            },
            "results": dict(entry.results),
            "source": entry.source,
        }
        for entry in map(find, names)
    }


def explanation(names: Sequence[str]) -> list[str | Table]:
    """The same to be read."""
    parts: list[str | Table] = []
    for name, told in explain(names).items():
        rows = []
        for key, a in told["arguments"].items():
            default = a["default"] if a["default"] == "required" else f"default {a['default']}"
            rows.append((f"  {key}=", a["meaning"], f"{a['allowed']}; {default}"))
        rows += [(f"  -> {key}", meaning, "") for key, meaning in told["results"].items()]
        widths = (max(len(row[k]) for row in rows) + 2 for k in (0, 1))
        parts += [f"{name}  {told['summary']}", Table((*(f"<{w}" for w in widths), ""), tuple(rows))]
        parts.append(f"  source: {told['source']}\n")
    return [*parts, "tokenlaw theory NAME key=value ... [--json]"]
