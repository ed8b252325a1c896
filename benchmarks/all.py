"""Run all benchmarks, each in a process of its own, and print one table:  python benchmarks/all.py [--full]

Quick sizes by default (under a quarter of an hour on two cores); results go to benchmarks/results/*.json, and
`python docs/performance.py` turns them into docs/performance.md.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
BENCHMARKS = ("step", "tokens", "attention", "ensemble", "multilevel", "equations")


def main() -> None:
    size = [] if "--full" in sys.argv[1:] else ["--quick"]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    failed = [
        name
        for name in BENCHMARKS
        if subprocess.run([sys.executable, HERE / f"{name}.py", *size], env=environment, check=False).returncode
    ]
    missed = 0
    print(f"\n{'what':66s} {'reference':26s} {'ratio':>8s}  {'target':24s} met")
    for name in BENCHMARKS:
        path = HERE / "results" / f"{name}.json"
        for row in json.loads(path.read_text(encoding="utf-8"))["rows"] if path.exists() else ():
            if row["met"] is None:
                continue
            number = row["value"] if row["ratio"] is None else row["ratio"]
            missed += not row["met"]
            what = row["reference"] or row["unit"]
            print(f"{row['what']:66s} {what:26s} {number:8.3g}  {row['target']:24s} {'yes' if row['met'] else 'NO'}")
    print(f"\n{missed} targets not met" + (f"; failed to run: {', '.join(failed)}" if failed else ""))
    sys.exit(bool(failed))


if __name__ == "__main__":
    main()
