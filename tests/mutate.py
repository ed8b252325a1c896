"""Mutation testing of the core:  python tests/mutate.py [--each 5] [--seed 0] [MODULE ...]

For each module a few random small changes (cosmic-ray: an operator, a comparison, a number, a boolean, a keyword) are
made one at a time in a copy of the project, and the tests that belong to the module are run until one fails.  A change
that no test notices survives; survivors are printed as diffs.  docs/reliability.md explains those of the last run.
"""

import argparse
import random
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parent.parent
P, S = "tests/particles/", "tests/spde/"
A, L, D, F = f"{P}attention/", f"{P}layers/", f"{S}domain/", f"{S}field/"
TESTS = {
    "particles/pushes.py": f"{L}test_recorded.py {A}test_softmax.py {L}test_layers.py {L}test_drift.py",
    "particles/layers/base.py": f"{L}test_layers.py {L}test_recorded.py {L}test_scaling.py {L}test_residual.py",
    "particles/heads.py": f"{L}test_layers.py {L}test_recorded.py {A}test_low_rank.py "
    "tests/test_equality.py",
    "particles/attention/base.py": f"{A}test_softmax.py {L}test_recorded.py {A}test_tiles.py {A}test_low_rank.py",
    "particles/retraction.py": f"{L}test_recorded.py {P}test_euclidean.py {S}test_exact.py {L}test_drift.py",
    "particles/measure.py": f"{L}test_layers.py {P}test_initial.py {L}test_recorded.py",
    "particles/layers/schemes.py": f"{L}test_drift.py {L}test_layers.py",
    "particles/harmonics.py": f"{D}test_sphere.py {F}test_sphere.py {D}test_transforms.py",
    "particles/noise.py": f"{L}test_layers.py {L}test_private.py {L}test_recorded.py",
    "particles/layers/drift.py": f"{L}test_drift.py",
    "spde/flow.py": f"{S}test_solver.py {S}test_watch.py {S}test_exact.py tests/tokenlaw/runs/test_resume.py",
    "spde/field/sphere.py": f"{F}test_sphere.py {F}test_sums.py {F}test_l2.py",
    "spde/domain/sphere.py": f"{D}test_sphere.py tests/spde/files/test_evaluate.py {D}test_transforms.py",
    "spde/density.py": f"{S}test_solver.py {S}test_exact.py {D}test_sphere.py",
    "spde/field/deposits.py": f"{F}test_sphere.py {F}test_deposits.py",
}
ALL = "tests/test_problems.py"  # concerns every module, and is tried last
KILLED = "KILLED"


def copied(folder: Path) -> None:
    """The tracked files, and those about to be."""
    listed = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    for name in subprocess.run(listed, cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines():
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / name, folder / name)


def session(folder: Path, module: str, each: int, seed: int, timeout: float) -> list[tuple[str, str, str]]:
    """Outcome, operator and diff of each change tried in a module."""
    command = f"{sys.executable} -m pytest -x -q -p no:cacheprovider {TESTS[module]} {ALL}"
    if subprocess.run(command.split(), cwd=folder, capture_output=True, check=False).returncode:
        sys.exit(f"{module}: its tests fail without a change")
    (folder / "session.toml").write_text(
        f'[cosmic-ray]\nmodule-path = "{module}"\ntimeout = {timeout}\nexcluded-modules = []\n'
        f'test-command = "{command}"\n'
        '[cosmic-ray.distributor]\nname = "local"\n',
        encoding="utf-8",
    )
    database = folder / "session.sqlite"
    database.unlink(missing_ok=True)
    ray = [sys.executable, "-m", "cosmic_ray.cli", "--verbosity", "ERROR"]
    subprocess.run([*ray, "init", "session.toml", "session.sqlite"], cwd=folder, check=True)
    with sqlite3.connect(database) as store:
        # Jobs are numbered at random: the changes themselves are put in order, so that a seed draws the same ones.
        order = "select job_id from mutation_specs order by operator_name, occurrence, start_pos_row, start_pos_col"
        jobs = [row[0] for row in store.execute(order)]
        kept = set(random.Random(f"{seed} {module}").sample(jobs, min(each, len(jobs))))
        for table in ("mutation_specs", "work_items"):
            store.executemany(f"delete from {table} where job_id = ?", [(job,) for job in jobs if job not in kept])
    subprocess.run([*ray, "exec", "session.toml", "session.sqlite"], cwd=folder, check=True)
    with sqlite3.connect(database) as store:
        return list(store.execute(
            "select r.test_outcome, m.operator_name, r.diff from work_results r join mutation_specs m using (job_id)"
        ))  # fmt: skip


def main() -> None:
    """Run, print survivors and the share of changes that were noticed; fails below nine in ten."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("modules", nargs="*", metavar="MODULE", help=f"of {', '.join(TESTS)}")
    parser.add_argument("--each", type=int, default=4, help="changes tried in a module")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--timeout", type=float, default=300.0, help="seconds after which a change counts as noticed")
    given = parser.parse_args()
    tried = noticed = 0
    for module in given.modules or TESTS:
        with tempfile.TemporaryDirectory() as name:
            copied(Path(name))
            found = session(Path(name), module, given.each, given.seed, given.timeout)
        killed = sum(KILLED in outcome for outcome, _, _ in found)
        tried, noticed = tried + len(found), noticed + killed
        print(f"{module}: {killed} of {len(found)} noticed", flush=True)
        for outcome, operator, diff in found:
            if KILLED not in outcome:
                print(f"  {outcome}, {operator}\n{diff}", flush=True)
    print(f"noticed {noticed} of {tried}: {noticed / max(1, tried):.0%}")
    sys.exit(noticed < 0.9 * tried)


if __name__ == "__main__":
    main()
