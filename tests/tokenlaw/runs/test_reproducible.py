"""Same configuration and seed, same numbers: to the bit on one machine, to 1e-10 on any other.

    python -m tests.tokenlaw.runs.test_reproducible

writes the reference moments anew, which is right only after a change that is meant to change numbers.
"""

import json
import os
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from threadpoolctl import threadpool_info, threadpool_limits

from particles.machine.parallel import VARIABLE
from spde.domain import sphere as spheres
from spde.domain.transforms import shtns_module
from tests.tokenlaw.calls import assert_same, call
from tokenlaw.config import read as config
from tokenlaw.runs import run as runs
from tokenlaw.runs.build import build

REFERENCE = Path(__file__).parents[2] / "data" / "reference_moments.json"
RUNS = {
    "density": ("solve", """
model = {d = 3, beta = 2.0}
heads = {kind = "gaussian"}
layers = {kind = "homogenized", dt = 0.02, t_end = 0.5, nodes = 4}
initial = {kind = "von_mises_fisher", components = [{mean = [0.0, 0.0, 1.0], kappa = 2.0}]}
solve = {lmax = 31, carried_nodes = [24, 48]}
noise = {seed = 7}
"""),
    "tokens on the sphere": ("simulate", """
model = {d = 3, beta = 4.0}
heads = {kind = "gaussian"}
layers = {kind = "transformer", eta = 0.1, heads = 4, depth = 20}
initial = {kind = "uniform"}
simulate = {tokens = 500, field = "spectral"}
noise = {seed = 8}
"""),
    "tokens in high dimension": ("simulate", """
model = {d = 64, beta = 1.0}
heads = {kind = "low_rank", head_dim = 16}
layers = {kind = "transformer", eta = 0.1, heads = 4, depth = 20}
initial = {kind = "uniform"}
simulate = {tokens = 100}
noise = {seed = 9}
"""),
    "tokens in R^d": ("simulate", """
model = {d = 4, beta = 0.5, attention = "l2", space = "euclidean"}
heads = {kind = "rademacher"}
layers = {kind = "homogenized", dt = 0.05, t_end = 1.0, nodes = 4}
simulate = {tokens = 100}
noise = {seed = 10}
[initial]
kind = "gaussian"
mean = [0.5, 0.0, 0.0, 0.0]
covariance = [[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]]
"""),
}  # fmt: skip
COMPARE = """
model = {d = 3, beta = 2.0}
heads = {kind = "gaussian"}
layers = {kind = "homogenized", dt = 0.02, t_end = 0.06, nodes = 4, nodes_fixed = true}
initial = {kind = "von_mises_fisher", components = [{mean = [0.0, 0.0, 1.0], kappa = 2.0}]}
solve = {lmax = 15, carried_nodes = [12, 24]}
simulate = {tokens = 40}
output = {distances = 2, save_every = 0.02}
"""
WIDE = """
model = {d = 300, beta = 2.0}
heads = {kind = "low_rank", head_dim = 64}
layers = {kind = "transformer", eta = 0.1, heads = 4, depth = 3}
initial = {kind = "uniform"}
simulate = {tokens = 700}
"""
MANY = """
model = {d = 3, beta = 2.0}
heads = {kind = "gaussian"}
layers = {kind = "homogenized", dt = 0.02, t_end = 0.06, nodes = 2}
initial = {kind = "uniform"}
simulate = {tokens = 140000, field = "spectral"}
output = {save_every = 0.06}
"""


def moments(name):
    """Mean token and the first three columns of the second moment of a reference run at its last depth, as lists."""
    command, text = RUNS[name]
    with tempfile.TemporaryDirectory() as folder:
        runs.execute(command, build(config.load_text(text)), Path(folder) / "f.nc")
        with xr.open_dataset(Path(folder) / "f.nc") as found:
            last = found.isel(depth_time=-1)
            second = last.second_moment.values[:, :3]
            return {"mean_token": last.mean_token.values.tolist(), "second_moment": second.tolist()}


@pytest.mark.parametrize("name", RUNS)
def test_moments_are_those_of_the_reference(name):
    """Written once, on an x86-64 machine with shtns 3.7.5, ducc0 0.42 and numpy 2."""
    want = json.loads(REFERENCE.read_text())[name]
    for key, found in moments(name).items():
        np.testing.assert_allclose(found, want[key], rtol=0, atol=1e-10, err_msg=key)


@pytest.mark.skipif(shtns_module() is None, reason="shtns is not installed")
def test_the_other_backend_gives_the_same_moments(monkeypatch):
    monkeypatch.setattr(spheres, "shtns_module", lambda: None)
    assert spheres.Sphere(15).backend == "ducc0"
    want = json.loads(REFERENCE.read_text())["density"]
    for key, found in moments("density").items():
        np.testing.assert_allclose(found, want[key], rtol=0, atol=1e-10, err_msg=key)


@pytest.mark.parametrize(("text", "command"), [(COMPARE, "compare"), (WIDE, "simulate"), (MANY, "simulate")])
def test_threads_change_no_bit(text, command, tmp_path, monkeypatch):
    """Those of TOKENLAW_THREADS, and those of the linear-algebra library (OMP_NUM_THREADS)."""
    (tmp_path / "c.toml").write_text(text)
    for threads in (1, 2):
        monkeypatch.setenv(VARIABLE, str(threads))
        with threadpool_limits(limits=threads, user_api="blas"):
            used = {library["num_threads"] for library in threadpool_info() if library["user_api"] == "blas"}
            assert call(command, tmp_path / "c.toml", "--out", tmp_path / f"{threads}.nc", "-q") == 0
            after = {library["num_threads"] for library in threadpool_info() if library["user_api"] == "blas"}
        assert used == after  # those of the caller come back
    assert_same(tmp_path / "1.nc", tmp_path / "2.nc")


def member(folder, number, name):
    """Run one member of an ensemble to a file."""
    experiment = build(config.load_text(COMPARE, [f"noise.member={number}"]))
    runs.execute("compare", experiment, folder / name)
    return folder / name


def test_order_and_company_of_members_change_no_bit(tmp_path):
    """One after the other, in reverse, and three at a time in threads of one process."""
    forward = [member(tmp_path, number, f"f{number}.nc") for number in range(4)]
    backward = [member(tmp_path, number, f"b{number}.nc") for number in reversed(range(4))][::-1]
    with ThreadPoolExecutor(3) as pool:
        together = [*pool.map(lambda number: member(tmp_path, number, f"t{number}.nc"), range(4))]
    for one, two, three in zip(forward, backward, together, strict=True):
        assert_same(one, two)
        assert_same(one, three)
    with xr.open_dataset(forward[0]) as first, xr.open_dataset(forward[1]) as second:
        assert np.abs(first["tokens"].values[-1] - second["tokens"].values[-1]).max() > 1e-3


if __name__ == "__main__":
    os.environ.pop(VARIABLE, None)
    lines = [f"{json.dumps(name)}: {json.dumps(moments(name))}" for name in RUNS]
    REFERENCE.write_text("{" + ",\n".join(lines) + "}\n")
