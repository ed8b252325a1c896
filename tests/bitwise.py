"""Do two versions of the code write the same files, to the bit?

    python -m tests.bitwise COMMIT [--only WORD]

Every configuration of examples/ (cut to a few layers) is solved, simulated, compared, and compared again in two parts
(the second with --resume), by the code of COMMIT and by the code here.  Variables, attributes and states of each pair
of files must be equal; run it before and after a change that should change no number.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

from tests.tokenlaw.calls import contents

ROOT = Path(__file__).resolve().parents[1]
COMMANDS = ("solve", "simulate", "compare", "resumed")


def settings(path: Path, layers: int) -> list[str]:
    """Options that cut a configuration to so many layers, a record in every second one."""
    given = tomllib.loads(path.read_text(encoding="utf-8"))
    kind, dt = given["layers"], given["layers"].get("dt", given["layers"].get("eta"))
    end = f"layers.depth={layers}" if "depth" in kind else f"layers.t_end={layers * dt!r}"
    cut = [end, f"output.save_every={2 * dt!r}", "simulate.tokens=60"]
    return [word for one in cut for word in ("--set", one)]


def run(tree: Path, config: Path, command: str, out: Path) -> str:
    """One file by the code in `tree`; what the command said where it was refused."""
    words = [
        sys.executable,
        "-m",
        "tokenlaw",
        command.replace("resumed", "compare"),
        str(config),
        "--out",
        str(out),
        "-q",
    ]
    parts = (
        [[*settings(config, 3)], [*settings(config, 6), "--resume"]] if command == "resumed" else [settings(config, 6)]
    )
    environment = {**os.environ, "PYTHONPATH": str(tree), "OMP_NUM_THREADS": "1"}
    for part in parts:
        done = subprocess.run([*words, *part], cwd=tree, env=environment, capture_output=True, text=True, check=False)
        if done.returncode:
            return f"exit {done.returncode}"
    return ""


def main() -> int:
    """Run both, print what differs."""
    parser = argparse.ArgumentParser(prog="python -m tests.bitwise", description=__doc__)
    parser.add_argument("commit", help="the version to compare with")
    parser.add_argument(
        "--only", default="", metavar="WORD", help="configurations and commands with this in their name"
    )
    given = parser.parse_args()
    different = equal = refused = 0
    with tempfile.TemporaryDirectory() as folder:
        before = Path(folder) / "before"
        subprocess.run(["git", "worktree", "add", "-q", "--detach", str(before), given.commit], cwd=ROOT, check=True)
        try:
            for config in sorted((before / "examples").glob("*.toml")):
                for command in COMMANDS:
                    name = f"{command} {config.stem}"
                    if given.only not in name:
                        continue
                    old, new = Path(folder) / "old.nc", Path(folder) / "new.nc"
                    said = run(before, config, command, old), run(ROOT, config, command, new)
                    if said[0] == said[1] == "":
                        first, second = contents(old), contents(new)
                        wrong = sorted(
                            key for key in first.keys() | second.keys() if repr(first.get(key)) != repr(second.get(key))
                        )
                        equal += not wrong
                    else:
                        wrong = [] if said[0] == said[1] else [f"before: {said[0] or 'done'}, now: {said[1] or 'done'}"]
                        refused += not wrong
                    different += bool(wrong)
                    if wrong:
                        print(f"{name}: {', '.join(map(str, wrong))}", flush=True)
                    old.unlink(missing_ok=True)
                    new.unlink(missing_ok=True)
        finally:
            subprocess.run(["git", "worktree", "remove", "--force", str(before)], cwd=ROOT, check=True)
    print(f"{equal} equal, {refused} refused by both, {different} different")
    return 1 if different else 0


if __name__ == "__main__":
    sys.exit(main())
