"""Do files keep to CF-1.11?  python tests/cf.py CHECKER   (`make cf` installs a checker in its own environment)

Writes one small file of each kind and lets the IOOS compliance checker (PyPI: compliance-checker) judge them all.
"""

import subprocess
import sys
import tempfile
from pathlib import Path

from tests.tokenlaw.calls import HOMOGENIZED, LAYERS, TRANSFORMER, call

CIRCLE = HOMOGENIZED.replace("d = 3", "d = 2").replace("[0.0, 0.0, 1.0]", "[0.0, 1.0]")
KINDS = {
    "density": ("solve", HOMOGENIZED),
    "density on the circle": ("solve", CIRCLE),
    "density along characteristics": ("solve", HOMOGENIZED.replace("lmax = 12", "lmax = 12\nremap_every = 0")),
    "tokens": ("simulate", HOMOGENIZED),
    "tokens of a finite transformer": ("simulate", TRANSFORMER),
    "tokens of a residual stream": ("simulate", HOMOGENIZED.replace(LAYERS, LAYERS + '\nnorm = "pre"')),
    "comparison": ("compare", HOMOGENIZED),
    "recorded layers": ("simulate", TRANSFORMER),
}


def main() -> None:
    checker, failed = sys.argv[1], 0
    with tempfile.TemporaryDirectory() as folder:
        for number, (kind, (command, text)) in enumerate(KINDS.items()):
            config, out = Path(folder, f"{number}.toml"), Path(folder, f"{number}.nc")
            config.write_text(text)
            also = ("--record-layers", out.with_suffix(".layers.nc")) if kind == "recorded layers" else ()
            if call(command, config, "--out", out, "--quiet", *also):
                sys.exit(f"{kind}: {command} failed")
            file = also[1] if also else out
            told = subprocess.run([checker, "-t", "cf:1.11", "-c", "strict", file], capture_output=True, text=True)
            passed = "All tests passed!" in told.stdout  # its exit code counts troubles of its own, told here
            lines = (told.stdout + told.stderr).splitlines()
            trouble = [line for line in lines if line.startswith("cf:1.11.")]
            failed += not passed
            print(f"{kind:32s} {'passes' if passed else 'FAILS'}", *trouble, sep="\n    ", flush=True)
            if not passed:
                print(told.stdout + told.stderr)
    sys.exit(failed > 0)


if __name__ == "__main__":
    main()
