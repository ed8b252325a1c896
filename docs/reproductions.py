"""Reproduces other people's numbers and writes docs/reproductions.json and docs/reproductions.md.

    python docs/reproductions.py [NAME ...] [--quick] [--seed S]      python docs/reproductions.py --page

runs the groups named, all where none is, prints their rows and puts them into both files; `--quick` takes small sizes
and writes nothing, `--page` writes the page anew from the results that are there.
"""

import argparse
import json
import time
from pathlib import Path

from particles.files import versions
from tokenlaw.answers.claim_pages import number, row, versions_of
from validation.reproductions import REPRODUCTIONS, networks

HERE = Path(__file__).parent
RESULTS, PAGE = HERE / "reproductions.json", HERE / "reproductions.md"
LIBRARY = HERE.parent / "tests" / "data" / "networks_library.json"
NETWORKS = "networks"
ORDER = (*REPRODUCTIONS, NETWORKS)
HEAD = """# Other people's numbers

Written by `python docs/reproductions.py`; the code is in `validation.reproductions`. Theirs stand as printed.
*Same*: ours, within three standard errors, rounds to theirs. *Their way*: ours with their choices, where a choice
is the difference; a difference is *explained* where that number rounds to theirs. *Not seen*: quoted at second
hand. *Read off*: from a figure. Others' code was read for its parameters and numbers; none of it is here."""


def run(name, quick, seed):
    """The entry of a group in the results."""
    if name == NETWORKS:
        found = json.loads(LIBRARY.read_text(encoding="utf-8"))
        rows, date, known = networks.rows(found), found["date"], found["versions"]
        about = {
            "title": networks.TITLE, "source": networks.SOURCE.format(**known), "note": networks.NOTE,
            "seen": networks.SEEN.format(count=found["library_networks"]), "command": networks.COMMAND,
        }  # fmt: skip
        seed = found["seeds"]
    else:
        group = REPRODUCTIONS[name]
        rows, date, known = group.run(quick, seed), time.strftime("%Y-%m-%d", time.gmtime()), versions()
        about = {
            "title": group.title, "source": group.source, "note": group.note, "seen": group.seen,
            "command": f"python docs/reproductions.py {name}",
        }  # fmt: skip
    return about | {"date": date, "seed": seed, "versions": known, "rows": [one.as_json() for one in rows]}


def shown(value, error):
    """With as many digits as the error leaves, eight at most."""
    return f"{value:.8g}" if value is not None and error == 0 else number(value, error)


def line(found):
    """A row of a table."""
    theirs = found["theirs"] or "none"
    theirs += " (read off)" if found["read_off_a_figure"] else ""
    theirs += " (not seen)" if not found["seen"] else ""
    verdict = found["verdict"] + (" — explained" if found["explained"] and not found["same"] else "")
    ours, way = shown(found["ours"], found["standard_error"]), shown(found["their_way"], found["way_error"])
    return row(found["what"], theirs, ours, way, verdict)


def page(results):
    """docs/reproductions.md."""
    rows = [one for entry in results.values() for one in entry["rows"]]
    compared = [one for one in rows if one["same"] is not None]
    apart = [one for one in compared if not one["same"]]
    explained, second = sum(one["explained"] for one in apart), sum(not one["seen"] for one in compared)
    lines = [
        *HEAD.split("\n"), "",
        f"{len(compared)} numbers in {len(results)} groups: {len(compared) - len(apart)} are the same, {len(apart)}",
        f"differ, of which {explained} are explained to all their digits. {second} are quoted at second hand.",
    ]  # fmt: skip
    for name, entry in results.items():
        lines += [
            "", f"## {name}", "", f"**{entry['title']}.** {entry['source']}. Seen: {entry['seen']}.", "",
            f"{entry['note']}.", "", f"    {entry['command']}", "",
            "| number | theirs | ours | their way | verdict |", "|---|---|---|---|---|",
            *map(line, entry["rows"]), "", f"Run of {entry['date']}, seed {entry['seed']}; {versions_of(entry)}.",
        ]  # fmt: skip
    return "\n".join(lines) + "\n"


def main():
    """Run what is asked for."""
    parser = argparse.ArgumentParser(description="Reproduce other people's numbers.")
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(ORDER))
    parser.add_argument("--quick", action="store_true", help="small sizes, nothing written")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--page", action="store_true", help="only write the page")
    asked = parser.parse_args()
    if wrong := [name for name in asked.names if name not in ORDER]:
        parser.error(f"no such group: {wrong[0]}; groups: {', '.join(ORDER)}")
    results = json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.exists() else {}
    for name in () if asked.page else asked.names or ORDER:
        results[name] = run(name, asked.quick, asked.seed)
        print("\n".join([f"{name}: {results[name]['title']}", *map(line, results[name]["rows"])]), flush=True)
        if not asked.quick:
            RESULTS.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    results = {name: results[name] for name in ORDER if name in results}
    if not asked.quick:
        PAGE.write_text(page(results), encoding="utf-8")


if __name__ == "__main__":
    main()
