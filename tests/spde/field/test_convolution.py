"""Convolutions by Funk and Hecke against direct sums, on S^1 and S^2, and which way a factory takes."""

import dense
import numpy as np
import pytest

from particles import Cloud, DirectField, tangent
from particles.attention import field_of
from particles.equations import Dot, Exponential, MaierSaupe, OfOverlap, Zonal, ZonalPush
from particles.pushes import SumPush
from spde import default_field, spectral_field
from spde.field import auto_field
from spde.field.convolution import ConvolutionField

RNG = np.random.default_rng(0)


def cloud(d, n, narrow=0.0):
    weights = RNG.random(n) + 0.2
    points = RNG.standard_normal((n, d)) + (np.eye(d)[0] / narrow if narrow else 0)
    return Cloud(dense.nrm(points), weights / weights.sum())


NARROW = OfOverlap(lambda t: 1 / (1.2 - t), lambda t: 1 / (1.2 - t) ** 2)


@pytest.mark.parametrize("narrow", [0.0, 0.01])
@pytest.mark.parametrize("d", [2, 3])
@pytest.mark.parametrize("interaction", [Dot(1.3), MaierSaupe(-0.8), Exponential(1.0), Exponential(12.0), NARROW])
def test_equals_direct_sums(interaction, d, narrow):
    """Right to the tolerance, times the bound of the field; a collapsed measure is no worse."""
    measure, points = cloud(d, 50, narrow), dense.nrm(RNG.standard_normal((40, d)))
    points[:2] = measure.points[:2]
    push = Zonal(interaction).push(d, 0.7)
    want = tangent(points, push.velocity(measure)(points))
    bound = 0.7 * np.abs(interaction.slope(np.linspace(-1, 1, 200))).max()
    for tol in (1e-3, 1e-8, 1e-12):
        field = ConvolutionField.of(push, measure, tol)
        error = np.abs(field(points) - want).max()
        assert error < 3 * max(tol, 1e-11) * bound
    assert np.abs(want).max() > 1e-3 * bound
    coarse = ConvolutionField.of(push, measure, 1e-3)
    assert coarse.degree <= field.degree


def test_degrees_are_those_of_the_interaction():
    measure = cloud(3, 20)
    assert ConvolutionField.of(Zonal(Dot(1.0)).push(3, 1.0), measure, 1e-12).degree == 1
    assert (
        ConvolutionField.of(
            Zonal(MaierSaupe(1.0)).push(2, 1.0), measure._replace(points=dense.nrm(measure.points[:, :2])), 1e-12
        ).degree
        == 2
    )
    degrees = [ConvolutionField.of(Zonal(Exponential(5.0)).push(3, 1.0), measure, tol).degree for tol in (1e-3, 1e-9)]
    assert degrees[0] < degrees[1] < 30


def test_which_way_a_factory_takes():
    few, many = cloud(3, 20), cloud(3, 4000)
    push = ZonalPush(Exponential(2.0), 3, 1.0)
    assert isinstance(field_of(default_field, push, few, 20), ConvolutionField)
    assert not isinstance(field_of(DirectField, push, few, 20), ConvolutionField)
    assert not isinstance(field_of(auto_field(1e-6), push, few, 20), ConvolutionField)
    assert isinstance(field_of(auto_field(1e-6), push, many, 4000), ConvolutionField)
    assert not isinstance(field_of(default_field, ZonalPush(Dot(1.0), 5, 1.0), cloud(5, 20), 20), ConvolutionField)
    kink = ZonalPush(OfOverlap(np.abs, np.sign), 3, 1.0)
    assert not isinstance(field_of(default_field, kink, few, 20), ConvolutionField)  # no series: summed directly
    both = field_of(spectral_field(1e-3), SumPush((push, ZonalPush(Dot(1.0), 3, 1.0))), few, 20)
    assert all(isinstance(part, ConvolutionField) for part in both.parts)
    assert both.degree == both.parts[0].degree > both.parts[1].degree == 1
    fine = field_of(spectral_field(1e-9), push, few, 20)
    assert fine.degree > both.degree
