"""1,200 inputs of every kind: taken or refused in one line, nothing lost (`make fuzz` tries 20,000)."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from tests.fuzz.__main__ import shares
from tests.fuzz.kinds import KINDS
from tests.fuzz.tally import fuzz
from tests.fuzz.trial import Trial, judge

ROOT = Path(__file__).parents[1]
EXAMPLES, SEED = 1200, 0
APART = ("damaged bytes", "results")
"""Kinds that might end the interpreter, if another version of HDF5 does not bear them: in a process of their own."""
PARTS = shares(EXAMPLES, list(KINDS))


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind not in APART])
def test_nothing_is_lost(kind):
    tally = fuzz(kind, KINDS[kind][1], PARTS[kind], SEED)
    assert not tally.losses, "\n".join(f"{loss}: {told}" for loss, (_, told) in tally.losses.items())
    assert tally.tried == PARTS[kind]
    assert tally.taken > 0
    assert tally.refused > 0


def test_nothing_is_lost_in_a_process_of_its_own():
    """The command itself, and the kinds that only a whole interpreter can answer for."""
    examples = sum(PARTS[kind] for kind in APART)
    words = ["-m", "tests.fuzz", "--examples", str(examples), "--seed", str(SEED), "--kinds", *APART]
    done = subprocess.run([sys.executable, *words], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.splitlines()[-1].split()[:2] == ["all", str(examples)]


LOSSES = {
    "raise KeyError('x')": "traceback: KeyError",
    "raise ValueError('operands could not be broadcast together')": "names no key",
    "raise ValueError('layers.heads: zip() argument 2 is longer')": "in the words of a library",
    "raise ValueError('layers.heads: ' + 999 * 'x')": "characters",
    "out.write_text(''); raise ValueError('layers.heads: bad')": "refused after output was written",
    "out.with_name('.out.nc.part').write_text('')": "left behind",
    "out.with_name('c.toml').unlink()": "an input was changed",
    "raise SystemExit(1)": "traceback: SystemExit",
    "import warnings; warnings.warn('one', RuntimeWarning); raise ValueError('layers.heads: bad')": "of 2 lines",
}


@pytest.mark.parametrize("lines", LOSSES)
def test_a_loss_is_seen(lines, monkeypatch):
    """The judge itself: a command that misbehaves in one way after another."""
    from tokenlaw.runs import run as runs

    def misbehave(command, experiment, out, **_):
        exec(lines, {"out": out})

    monkeypatch.setattr(runs, "execute", misbehave)
    text = (ROOT / "examples" / "quickstart.toml").read_text()
    small = text.replace("t_end = 2.0", "t_end = 0.02").replace("lmax = 63", "lmax = 12")
    verdict = judge(Trial(("simulate", "{folder}/c.toml", "--out", "{folder}/out.nc", "-q"), small))
    assert LOSSES[lines] in verdict.loss


FORBIDDEN_NAMES = {"eval", "exec", "compile", "__import__"}
FORBIDDEN_MODULES = {"pickle", "cPickle", "dill", "cloudpickle", "joblib", "marshal", "shelve"}
FORBIDDEN_CALLS = {"os.system", "os.popen", "np.load", "numpy.load", "torch.load", "yaml.load"}


OPENED = ROOT / "tokenlaw" / "runs" / "functions.py"


def test_no_input_is_run_or_unpickled():
    """No module of the toolkit imports a pickler, evaluates text or hands a name to a shell."""
    for package in ("particles", "spde", "validation", "tokenlaw"):
        for path in (ROOT / package).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.Import):
                    assert not {alias.name.split(".")[0] for alias in node.names} & FORBIDDEN_MODULES, path
                elif isinstance(node, ast.ImportFrom):
                    assert (node.module or "").split(".")[0] not in FORBIDDEN_MODULES, path
                elif isinstance(node, ast.Call):
                    called = ast.unparse(node.func)
                    if path == OPENED and called in ("compile", "exec"):  # by --allow-python alone
                        continue
                    assert called not in FORBIDDEN_NAMES | FORBIDDEN_CALLS, f"{path}: {called}"
                    assert not any(k.arg == "shell" for k in node.keywords), path
