"""Writes docs/performance.md from benchmarks/results/*.json and benchmarks/*.md:  python docs/performance.py"""

import json
import re
import sys
from pathlib import Path

HERE = Path(__file__).parent
BENCHMARKS = HERE.parent / "benchmarks"
HEAD = """# Performance

Written by `python docs/performance.py` from `benchmarks/results/*.json`, which `make bench` makes anew (small sizes;
`python benchmarks/all.py --full` for all). Numbers are medians; a ratio compares with a reference that was measured in
the same run, its calls taking turns with ours, so it means more than the milliseconds, which belong to one machine and
its load. Where the time of each main path goes, and why its largest part stays: [profile](profile.md).
"""


def number(value: float) -> str:
    """Three digits, without an exponent where that is short."""
    return f"{value:.3g}" if 1e-3 <= abs(value) < 1e4 or value == 0 else f"{value:.2e}"


def section(found: dict, text: str) -> str:
    """One benchmark: what a reader should know, then its table."""
    text = text.strip() or f"# {found['name']}"
    lines = ["\n" + re.sub("^#", "##", text, flags=re.MULTILINE) + "\n"]
    lines += ["| what | value | reference | value over reference | target | met |", "|---|---|---|---|---|---|"]
    for row in found["rows"]:
        ratio = "" if row["ratio"] is None else number(row["ratio"])
        met = {None: "", True: "yes", False: "**no**"}[row["met"]]
        cells = (row["what"], f"{number(row['value'])} {row['unit']}", row["reference"], ratio, row["target"], met)
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    lines += [""] + [f"- {note}" for note in found["notes"]]
    machine = found["machine"]
    versions = ", ".join(f"{name} {version}" for name, version in found["versions"].items())
    size = "small sizes" if found["quick"] else "full sizes"
    lines.append(
        f"\n`benchmarks/{found['name']}.py`, {size}, {found['date']}; {machine['processor']}, "
        f"{machine['cores']} cores, {machine['system']}, Python {machine['python']}; {versions}.\n"
    )
    return "\n".join(lines)


def page() -> str:
    """The whole page, in the order in which the benchmarks run."""
    sys.path.insert(0, str(BENCHMARKS))
    from all import BENCHMARKS as names  # the module of that name beside the benchmarks

    parts = [HEAD]
    for name in names:
        result, text = BENCHMARKS / "results" / f"{name}.json", BENCHMARKS / f"{name}.md"
        if result.exists():
            found = json.loads(result.read_text(encoding="utf-8"))
            parts.append(section(found, text.read_text(encoding="utf-8") if text.exists() else ""))
    return "".join(parts)


if __name__ == "__main__":
    HERE.joinpath("performance.md").write_text(page(), encoding="utf-8")
