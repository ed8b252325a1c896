"""What the tests of real networks share: a file as `tokenlaw observe` makes it, without torch."""

from pathlib import Path

import numpy as np

from tokenlaw.observe.blocks import Seen
from tokenlaw.observe.record import Request, beside, curves, token_file
from tokenlaw.observe.words import Given

RECORDS, N, D = 4, 10, 12


def seen(seed=0):
    """Random tokens that come together, with numbers in place of attention."""
    rng = np.random.default_rng(seed)
    points = rng.standard_normal((N, D))
    tokens = np.stack([(1 + k) * (points + k * points[0]) for k in range(RECORDS)])
    return Seen(tokens, rng.uniform(1, 2, (RECORDS - 1, 3)), np.array([4.0, 3.0, 2.0, 1.0]))


def dataset(fresh=3, forecast=2):
    """The dataset of a file."""
    found = token_file(seen(), Given({}, np.arange(N)), lambda text: None)
    for prefix, count in (("reinit", fresh), ("forecast", forecast)):
        if count:
            found = found.merge(beside(prefix, [curves(seen(1 + k)) for k in range(count)]))
    return found.assign_attrs(command="observe", title="tokens of gpt2 between its blocks", seed="0")


def request(**changes):
    """A request of the numbers of words."""
    return Request(**{"folder": Path("m"), "ids": Path("ids.txt")} | changes)
