"""Several runs in threads of one process, and forks beside them: files are opened, read and closed one at a time.

Each trial is a process of its own, because what fails here ends the process.
"""

import subprocess
import sys

import pytest

from tests.tokenlaw.calls import TRANSFORMER

RUNS = """
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
import numpy as np
from particles import GaussianHeads, Noise, RandomTransformer, Recorder, Softmax, Tokens, Uniform, simulate

def one(k):
    law = RandomTransformer(GaussianHeads(4), Softmax(2.0), eta=0.1, n_heads=2, noise=Noise(7, k))
    tokens = Tokens(Uniform(4).sample(np.random.default_rng(k), 50))
    found = simulate(tokens, law, n_steps=12, checkpoint=Recorder(Path(f"{k}.nc"), patience=0.0))
    return float(found.mean_overlap.values[-1])
"""
READ = RUNS + """
with ThreadPoolExecutor(4) as pool:
    assert len(set(pool.map(one, range(8)))) == 8
"""
RESUME = """
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from tokenlaw.config import read as config
from tokenlaw.runs import run as runs
from tokenlaw.runs.build import build
from tokenlaw.files import describe, opened

warnings.simplefilter("ignore")

def one(k):
    path = Path(f"{k % 8}.nc")
    for depth in (3, 6):
        changes = [f"noise.member={k}", f"layers.depth={depth}", "output.save_every=0.1"]
        runs.execute("simulate", build(config.load("c.toml", changes)), path, resume=True)
        with opened(path) as dataset:
            assert describe(dataset, path)

with ThreadPoolExecutor(4) as pool:
    list(pool.map(one, range(8)))
"""
FORK = RUNS + """
import os, threading

done = threading.Event()

def write():
    while not done.is_set():
        one(0)

writer = threading.Thread(target=write)
writer.start()
for _ in range(4):
    child = os.fork()
    if child == 0:
        one(1)
        os._exit(7)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
done.set()
writer.join()
"""


LOADING = """
import os, threading, time
from particles.machine import locks

held = threading.Event()

def load():
    with locks._blas.lock:
        held.set()
        time.sleep(0.5)

threading.Thread(target=load).start()
held.wait()
child = os.fork()
if child == 0:
    with locks.one_blas_thread():
        os._exit(7)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
"""

IMPORTING = """
import os, sys, threading
import particles
from pathlib import Path

Path("slow.py").write_text("import time; time.sleep(0.5); done = True")
sys.path.insert(0, "")
thread = threading.Thread(target=__import__, args=("slow",))
thread.start()
while "slow" not in sys.modules:
    pass
child = os.fork()
if child == 0:
    import slow
    os._exit(7 if slow.done else 1)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
thread.join()
import slow, json.tool
"""

CODES = {
    "results read lazily": READ, "resumed and read": RESUME, "forks": FORK,
    "forks while the library is loaded": LOADING, "forks in the middle of an import": IMPORTING,
}  # fmt: skip


@pytest.mark.parametrize("code", CODES.values(), ids=CODES)
def test_threads(code, tmp_path):
    (tmp_path / "c.toml").write_text(TRANSFORMER)
    found = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code], cwd=tmp_path, capture_output=True, text=True, timeout=120
    )
    assert found.returncode == 0, found.stderr[-2000:]
