"""What the tests of the command line share: small configurations, calls, comparison of files to the bit."""

import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import netCDF4
import numpy as np
import xarray as xr

from tokenlaw.commands import app

COMMAND = [sys.executable, "-c", "from tokenlaw.commands.app import main; main()"]
HOMOGENIZED = """
[model]
d = 3
beta = 2.0
[heads]
kind = "gaussian"
[layers]
kind = "homogenized"
dt = 0.02
t_end = 0.12
nodes = 2
[initial]
kind = "von_mises_fisher"
components = [{mean = [0.0, 0.0, 1.0], kappa = 1.0}]
[solve]
lmax = 12
carried_nodes = [12, 24]
[simulate]
tokens = 6
[noise]
seed = 7
[output]
save_every = 0.04
"""
LAYERS = 'kind = "homogenized"\ndt = 0.02\nt_end = 0.12\nnodes = 2'
TRANSFORMER = HOMOGENIZED.replace(LAYERS, 'kind = "transformer"\neta = 0.1\nheads = 2\ndepth = 6')


def call(*words, **settings):
    """Run a command in this process: exit code.  Settings: section__key = value becomes --set section.key=value."""
    given = [f"{key.replace('__', '.')}={value}" for key, value in settings.items()]
    return app.run([*map(str, words), *(word for text in given for word in ("--set", text))])


def start(*words):
    """Run a command in a process of its own, both ends of its output in pipes.

    It hears Ctrl-C even where the tests themselves run in the background of a shell, which ignores it there.
    """
    hear = partial(signal.signal, signal.SIGINT, signal.default_int_handler)
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen([*COMMAND, *map(str, words)], preexec_fn=hear, **pipes)


def until(condition, patience=300):
    """Wait for what is bound to come; that it comes is the truth, the patience only ends a test that has failed."""
    end = time.monotonic() + patience
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


def tokens_file(path, n=5, d=3, seed=1):
    points = np.random.default_rng(seed).standard_normal((n, d))
    points /= np.linalg.norm(points, axis=1)[:, None]
    xr.Dataset({"tokens": (("token", "component"), points)}).to_netcdf(path)
    return points


def contents(path: Path):
    """Everything in a file, to the bit: attributes, variables and the state."""
    found = {}
    with netCDF4.Dataset(path) as file:
        file.set_auto_mask(False)
        state = file.groups["state"]
        moving = bool(state["is_moving"][...]) if "is_moving" in state.variables else False
        for where in (file, state):
            for name, variable in where.variables.items():
                if moving or not name.startswith("moving"):  # left from an earlier depth
                    values = np.asarray(variable[...])
                    bits = tuple(values.tolist()) if values.dtype == object else values.tobytes()
                    found[where.path + name] = (values.shape, str(values.dtype), bits, str(variable.__dict__))
        found |= {name: file.getncattr(name) for name in file.ncattrs()}
    return found


def assert_same(one, other):
    """Two files are equal to the bit."""
    first, second = contents(one), contents(other)
    assert first.keys() == second.keys()
    assert [name for name in first if first[name] != second[name]] == []
