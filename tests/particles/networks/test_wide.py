"""Infinitely many hidden units: the kernel's drop, its factor where tokens meet, the limit of many units."""

import math

import numpy as np
import pytest

from particles import ACTIVATIONS, ArgumentError
from particles.layers.mlp.kernels import pair_mean
from particles.networks import MLP, Network, NoNorm, PerMatrix, SelfAttention, Simplex
from particles.networks.vectors import gaps
from particles.networks.wide import Drop, Limit


@pytest.mark.parametrize("name", ["relu", "gelu", "silu", "tanh", "erf", "linear"])
@pytest.mark.parametrize("gain", [0.3, 1.0, 3.0])
def test_the_drop_is_that_of_the_kernel(name, gain):
    """Against the kernel of wide blocks, and its limit gap s^2 E act'(s X)^2 by a plain sum."""
    act = ACTIVATIONS[name]
    drop, gap = Drop.of(act, gain), np.array([0.01, 0.3, 1.0, 1.7, 1.95])
    kernel = pair_mean(act, np.concatenate([[1.0], 1 - gap]), gain)
    assert drop.square == pytest.approx(kernel[0], rel=1e-10)
    np.testing.assert_allclose(drop.drop(gap), kernel[0] - kernel[1:], rtol=3e-7)
    x = np.arange(-9, 9, 1e-4) + 5e-5  # midpoints: relu has a corner at 0
    slope = gain**2 * np.sum(np.exp(-(x**2) / 2) * act.derivative(gain * x) ** 2) * 1e-4 / math.sqrt(2 * math.pi)
    assert drop.drop(np.array(1e-12)) == pytest.approx(1e-12 * slope, rel=1e-5, abs=0)


def test_relu_in_closed_form():
    drop = Drop.of(ACTIVATIONS["relu"], 1.0)
    for gap in (1e-12, 1e-6, 0.1, 1.0, 1.9):
        angle = 2 * math.asin(math.sqrt(gap / 2))
        expected = (math.pi * gap - (math.sin(angle) - angle * math.cos(angle))) / (2 * math.pi)
        assert drop.drop(np.array(gap)) == pytest.approx(expected, rel=3e-7, abs=0)


@pytest.mark.parametrize("gated", [False, True])
@pytest.mark.parametrize("apart", [1.0, 1e-3, 1e-6])
def test_the_factor_gives_the_kernel_and_its_drop(gated, apart):
    rng = np.random.default_rng(0)
    z = rng.standard_normal((20, 1)) + apart * rng.standard_normal((20, 6))
    z *= math.sqrt(20) / np.linalg.norm(z, axis=0)
    limit = Limit(MLP(ACTIVATIONS["gelu"], math.inf, gated), 0.8, 0.7 if gated else 0.0)
    factor, gap, drop = limit.factor(z), gaps(z), limit.table
    one = drop.square * (0.49 if gated else 1)
    expected = drop.drop(gap) if not gated else 0.49 * (drop.square * gap + drop.drop(gap) * (1 - gap))
    np.testing.assert_allclose((factor**2).sum(axis=0), one, rtol=1e-12)
    off = ~np.eye(6, dtype=bool)
    found = ((factor[:, :, None] - factor[:, None]) ** 2).sum(axis=0) / 2
    np.testing.assert_allclose(found[off], expected[off], rtol=1e-6)


def test_tokens_that_are_one_stay_one():
    z = np.repeat(np.random.default_rng(1).standard_normal((9, 2)), 2, axis=1)
    z *= 3 / np.linalg.norm(z, axis=0)
    factor = Limit(MLP(ACTIVATIONS["silu"], math.inf), 1.0).factor(z)
    np.testing.assert_allclose(factor[:, 0], factor[:, 1], atol=1e-7)


@pytest.mark.parametrize("gated", [False, True])
def test_many_units_go_to_the_limit(gated):
    """The mean overlap behind one block: that of 1,024 units; a scale wrong by a tenth would be seen."""
    found = {}
    for name, width, wrong in (("limit", math.inf, 1.0), ("many", 1024, 1.0), ("wrong", math.inf, 1.1)):
        usual = 171 if gated else 256
        down = wrong * 4 / math.sqrt(usual if width == math.inf else width)
        deviations = PerMatrix(0, 0, 0, 0, 1 / 8, 1 / 8, down)
        net = Network(64, 1, SelfAttention(2, 8), MLP(ACTIVATIONS["gelu"], width, gated), initialisation=deviations)
        found[name] = net.chain(Simplex(8, 0.6), 400, seed=3)
    for statistic in ("overlap", "radius"):
        mean = {name: float(one[statistic][:, 1].mean()) for name, one in found.items()}
        noise = float(found["many"][statistic][:, 1].std()) / math.sqrt(200)
        assert abs(mean["limit"] - mean["many"]) < 4 * noise
    assert abs(mean["limit"] - mean["wrong"]) > 8 * noise


def test_no_limit_without_a_norm():
    with pytest.raises(ArgumentError, match="width must be finite where no norm stands before the MLP"):
        Network(32, 1, SelfAttention(2, 8), MLP(ACTIVATIONS["gelu"], math.inf), placement=NoNorm())
