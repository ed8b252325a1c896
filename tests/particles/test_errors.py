"""Exceptions that end a run, sent from a worker to the command that waits for it."""

import pickle
from pathlib import Path

import numpy as np
import pytest

from particles import ArgumentError, SolverError
from particles.files import WriteError
from particles.machine.memory import TooLarge
from tokenlaw.config.read import ConfigError
from tokenlaw.ensemble.run import EnsembleError
from validation.distances import TransportError

ERRORS = [
    ArgumentError("nodes", 1, "be at least 2"),
    SolverError("it stopped", step=3, depth_time=0.3, state=np.arange(3.0)),
    WriteError(Path("a.nc"), OSError(28, "No space left on device"), begun=True),
    ConfigError("solve.lmax = 1: must be from 2 to 1023"),
    TooLarge("too much"),
    EnsembleError("two failed"),
    TransportError("not solved"),
]


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
def test_they_arrive_as_they_were_sent(error):
    came = pickle.loads(pickle.dumps(error))
    assert type(came) is type(error)
    assert str(came) == str(error)
    assert came.__dict__.keys() == error.__dict__.keys()
    for name, value in error.__dict__.items():
        np.testing.assert_array_equal(came.__dict__[name], value)
