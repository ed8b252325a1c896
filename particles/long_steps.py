"""Steps too long for tokens: where a law of layers discretises a flow, |U| must stay small against the sphere."""

import itertools
import warnings

import numpy as np

from particles.attention.base import AttentionPush, FieldFactory
from particles.attention.kernels import Causal
from particles.measure import Measure
from particles.pushes import Field

LOOK_EVERY = 16  # layers
MOST = 256  # tokens that are looked at


def telling_long_steps(factory: FieldFactory) -> FieldFactory:
    """The factory, with a warning, once, where a field moves a token by more than 1.

    It looks at `MOST` tokens, evenly chosen, in every `LOOK_EVERY`-th layer; the fields are those of the factory.
    """
    calls, told = itertools.count(), set[int]()

    def make(push: AttentionPush, measure: Measure, n_targets: int) -> Field:
        field, call = factory(push, measure, n_targets), next(calls)
        if not told and call % LOOK_EVERY == 0:
            few = slice(None, None, -(-len(measure.points) // MOST))
            if isinstance(push.kernel, Causal):  # known at the points of the measure only, which have an order
                velocity = field(measure.points)[few]
            else:
                velocity = field(np.ascontiguousarray(measure.points[few]))
            longest = float(np.sqrt(np.einsum("ij,ij->i", velocity, velocity).max()))
            if longest > 1:
                told.add(call)
                warnings.warn(
                    f"a step moves tokens by more than 1 (|U| = {longest:.2g}): the path is not that of the limit; "
                    "lower dt",
                    RuntimeWarning,
                    stacklevel=2,
                )
        return field

    return make
