"""What users give: each refusal names the cause that was found, and what is right but unusual is taken."""

import re
from dataclasses import dataclass, replace

import numpy as np
import pytest

from particles import (
    DirectField,
    GaussianHeads,
    Heads,
    Homogenized,
    Noise,
    RandomTransformer,
    Softmax,
    Tokens,
    Uniform,
    VonMisesFisherMixture,
    simulate,
)
from particles.arrays import unit
from spde import Circle, Density, DensityFlow, Sphere, solve
from validation import PairFlow

SPHERE = Sphere(15)
LAW = VonMisesFisherMixture([1.0], [[0, 0, 1.0]], [2.0])
NOISE = Noise(7)
LAYERS = Homogenized(GaussianHeads(3), Softmax(2.0), dt=0.05, nodes=2, noise=NOISE)


@dataclass
class Given:
    pdf: object


def density(function):
    return Density.from_law(Given(function), SPHERE)


def test_a_mean_that_no_density_has_is_named():
    """Its nodes would be contracted to a point, and miss the mass."""
    with pytest.raises(ValueError, match=r"^the initial density is negative somewhere: its mean has the length 1\.84"):
        Density.from_coefficients(np.array([1 / np.sqrt(4 * np.pi), 0.9, 0]), SPHERE)


# --- initial laws

CIRCLE = 1 / (2 * np.pi)
LAWS = {
    "twice a density": (lambda x: 2 * LAW.pdf(x), ValueError, "the initial density has the mass 2 and must have 1"),
    "no constant": (lambda x: np.exp(2 * x[:, 2]), ValueError, "the initial density has the mass 22.7882 and must"),
    "half a density": (lambda x: 0.5 * LAW.pdf(x), ValueError, "the initial density has the mass 0.5 and must have 1"),
    "one point": (lambda x: np.exp(2 * x[2]), ValueError, "got shape (3,); it seems to take one point at a time"),
    "one point, by math": (lambda x: float(x[2]), ValueError, "and fails (TypeError: "),
    "a column": (lambda x: LAW.pdf(x)[:, None], ValueError, "got shape (8192, 1); take [:, 0] of it"),
    "a number": (lambda x: 1 / (4 * np.pi), ValueError, "must give (8192,) values for points (8192, 3), got shape ()"),
    "no number": (lambda x: np.where(x[:, 2] > 0.99, np.nan, LAW.pdf(x)), ValueError, "the initial density is nan at"),
    "infinite": (lambda x: np.where(x[:, 2] > 0.99, np.inf, 0.1), ValueError, "the initial density is inf at the"),
    "negative": (lambda x: (1 + 2 * x[:, 2]) / (4 * np.pi), ValueError, "the initial density is negative (-0.07"),
    "complex": (lambda x: LAW.pdf(x) + 0j, TypeError, "in double or single precision, got complex128"),
    "half precision": (lambda x: LAW.pdf(x).astype("f2"), TypeError, "in double or single precision, got float16"),
    "words": (lambda x: ["a"] * len(x), TypeError, "in double or single precision, got <U1"),
}


@pytest.mark.parametrize("name", LAWS)
def test_a_law_is_refused_for_what_it_is(name, monkeypatch):
    monkeypatch.setattr("spde.domain.sphere.FINEST_QUADRATURE", 256)
    function, kind, text = LAWS[name]
    with pytest.raises(kind, match=re.escape(text)):
        density(function)


def test_no_law_at_all():
    with pytest.raises(TypeError, match=r"an initial law needs pdf\(points\), its density .*; function has none"):
        Density.from_law(lambda x: x, SPHERE)


@pytest.mark.parametrize("height", [0.3, -0.71])
def test_a_jump_is_no_concentration(height, monkeypatch):
    monkeypatch.setattr("spde.domain.sphere.FINEST_QUADRATURE", 256)
    with pytest.raises(ValueError, match=r"has jumps or is too concentrated: its mass is .* with 131072 nodes and"):
        density(lambda x: (x[:, 2] > height) / (2 * np.pi * (1 - height)))
    with pytest.raises(ValueError, match=r"has the mass 3\.\d+ and must have 1"):
        density(lambda x: 3.1 * (x[:, 2] > height) / (2 * np.pi * (1 - height)))


@pytest.mark.parametrize("kappa", [1e6, 3e5])
def test_a_narrow_law_is_too_concentrated(kappa, monkeypatch):
    """And one that hides between the nodes of every quadrature is not called by a wrong mass."""
    monkeypatch.setattr("spde.domain.sphere.FINEST_QUADRATURE", 256)
    for mean in ([0, 0, 1.0], [0.3, 0.5, 0.2]):
        with pytest.raises(ValueError, match="too concentrated"):
            Density.from_law(VonMisesFisherMixture([1.0], [mean], [kappa]), SPHERE)


def test_single_precision_is_taken():
    """Its mass is 1 to its own rounding; the moments are those of the same law to that."""
    found = density(lambda x: LAW.pdf(x).astype(np.float32))
    assert np.abs(found.mean - Density.from_law(LAW, SPHERE).mean).max() < 1e-7
    assert found.coefficients.dtype == np.complex128
    circle = Density.from_law(Given(lambda x: (CIRCLE * (1 + 0.5 * x[:, 0])).astype(np.float32)), Circle(8))
    assert np.abs(circle.mean - [0.25, 0]).max() < 1e-7


def test_zeros_are_taken():
    half = density(lambda x: np.maximum(x[:, 2], 0) ** 4 * 5 / (2 * np.pi))
    assert abs(half.mean[2] - 5 / 6) < 1e-6


def test_coefficients_may_be_real_or_listed():
    plain = [1 / np.sqrt(4 * np.pi), 0.1, 0.0]
    given = Density.from_coefficients(np.array(plain) + 0j, SPHERE)
    for other in (plain, np.array(plain), np.array(plain, dtype=np.float32)):
        assert np.abs(Density.from_coefficients(other, SPHERE).mean - given.mean).max() < 1e-8
    for wrong, text in {
        (np.nan, 0.0, 0.0): "coefficients must be finite, got NaN or infinity",
        (0.0, 0.1, 0.0): "the mass of the density must be positive and finite, got 0",
        (-0.1, 0.1, 0.0): "the mass of the density must be positive and finite, got -0.35",
        (0.1, 0.1, 0.0, 0.0): "4 is not a number of coefficients",
    }.items():
        with pytest.raises(ValueError, match=re.escape(text)):
            Density.from_coefficients(wrong, SPHERE)
    with pytest.raises(TypeError, match=r"must be numbers of shape \(modes,\), got float64 of shape \(1, 3\)"):
        Density.from_coefficients([plain], SPHERE)


# --- kernels


class Mean:
    """The barycentre of the measure, whatever the point."""

    change = staticmethod(lambda found: found)

    def barycenter(self, points, measure, query, key):
        return self.change(np.broadcast_to(measure.weights @ measure.points, points.shape).copy())


KERNELS = {
    "transposed": (lambda found: found.T, ValueError, "for points (5, 3) must have shape (5, 3), got (3, 5)"),
    "one for all": (lambda found: found[0], ValueError, "for points (5, 3) must have shape (5, 3), got (3,)"),
    "no number": (lambda found: found * np.nan, ValueError, "for points (5, 3) must be finite, got nan"),
    "complex": (lambda found: found + 0j, TypeError, "for points (5, 3) must hold real numbers, got complex128"),
    "failing": (lambda found: found @ found, ValueError, "(N, d)"),
}


@pytest.mark.parametrize("name", KERNELS)
def test_a_kernel_is_refused_for_what_it_is(name):
    change, kind, text = KERNELS[name]
    kernel = Mean()
    kernel.change = change
    text = "fails for points (5, 3) and a measure of " if name == "failing" else text
    for work in (
        lambda: solve(Density.from_law(LAW, SPHERE), replace(LAYERS, kernel=kernel), n_steps=1, field=DirectField),
        lambda: simulate(Tokens(np.eye(3)), replace(LAYERS, kernel=kernel), n_steps=1),
    ):
        with pytest.raises(kind, match=r"^Mean\.barycenter\(points, measure, query, key\) " + re.escape(text)):
            work()


def test_a_kernel_that_is_right_is_taken():
    run = solve(Density.from_law(LAW, SPHERE), replace(LAYERS, kernel=Mean()), n_steps=2, field=DirectField)
    assert np.isfinite(run.mean_token).all()


# --- laws of heads


@dataclass(frozen=True)
class Own:
    """Heads of three independent matrices, changed."""

    change: object = None
    rng: object = None
    d: int = 3

    def sample(self, rng, size):
        entries = (self.rng or rng).standard_normal((3, size, self.d, self.d))
        heads = Heads(*entries)
        return heads if self.change is None else self.change(heads)


HEADS = {
    "one for all": (lambda h: Heads(h.out[0], h.query, h.key), ValueError, "out of the heads that Own.sample(rng, 4)"),
    "vectors": (lambda h: Heads(h.out, h.query[:, 0], h.key), ValueError, "must have shape (4, any, 3), got (4, 3)"),
    "rows that differ": (lambda h: Heads(h.out, h.query[:, :2], h.key), ValueError, "shape (4, 2, 3), got (4, 3, 3)"),
    "factors": (lambda h: Heads(h.out[:, :, :2], h.query, h.key, h.key), ValueError, "shape (4, 2, 3), got (4, 3, 3)"),
    "no number": (lambda h: Heads(h.out * np.nan, h.query, h.key), ValueError, "must be finite, got nan"),
    "complex": (lambda h: Heads(h.out + 0j, h.query, h.key), TypeError, "must hold real numbers, got complex128"),
    "a tuple": (lambda h: (h.out, h.query, h.key), TypeError, "Own.sample(rng, size) must give Heads, got tuple"),
}


@pytest.mark.parametrize("name", HEADS)
def test_heads_are_refused_for_what_they_are(name):
    change, kind, text = HEADS[name]
    with pytest.raises(kind, match=re.escape(text)):
        RandomTransformer(Own(change), Softmax(2.0), eta=0.1, n_heads=4, noise=NOISE)


def test_heads_must_be_drawn_from_the_generator_that_is_given():
    with pytest.raises(ValueError, match=r"Own\.sample gives other heads for an equal generator: draw from"):
        RandomTransformer(Own(rng=np.random.default_rng(1)), Softmax(2.0), eta=0.1, n_heads=4, noise=NOISE)
    law = RandomTransformer(Own(), Softmax(2.0), eta=0.1, n_heads=4, noise=NOISE)
    assert np.array_equal(law.layer(3)[0].query, law.layer(3)[0].query)


def test_what_a_law_lacks_is_named():
    with pytest.raises(TypeError, match="Own has not: it lacks sigma_v, mean_value, sample_query_key"):
        Homogenized(Own(), Softmax(2.0), dt=0.05, nodes=2, noise=NOISE)
    with pytest.raises(TypeError, match="a law of heads needs d; object has not"):
        RandomTransformer(object(), Softmax(2.0), eta=0.1, n_heads=4, noise=NOISE)


@dataclass(frozen=True)
class Apart(Own):
    sigma_v: float = 1.0
    mean_value: object = None
    rows: int = 2

    def sample_query_key(self, rng, size):
        return tuple((self.rng or rng).standard_normal((2, size, self.rows, 3)))


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"sigma_v": np.nan}, "sigma_v of Apart must be finite and >= 0, got nan"),
        ({"mean_value": np.eye(2)}, "mean_value of Apart must have shape (3, 3), got (2, 2)"),
        ({"rng": np.random.default_rng(1)}, "Apart.sample_query_key gives other heads for an equal generator"),
    ],
)
def test_values_apart_are_refused_for_what_they_are(settings, text):
    law = Apart(mean_value=np.zeros((3, 3)))
    assert Homogenized(law, Softmax(2.0), dt=0.05, nodes=2, noise=NOISE).layer(0)
    with pytest.raises(ValueError, match=re.escape(text)):
        Homogenized(replace(law, **settings), Softmax(2.0), dt=0.05, nodes=2, noise=NOISE)


# --- tokens, points and numbers


@pytest.mark.parametrize("factor", [1.01, 2.0, 0.5, 0.0, np.inf])
def test_passive_points_off_the_sphere_are_refused(factor):
    """In `solve`, in a flow, and in a comparison, with the worst one named."""
    points = unit(np.random.default_rng(0).standard_normal((5, 3)))
    points[3] *= factor
    start, flow = Density.from_law(LAW, SPHERE), DensityFlow(SPHERE, LAYERS)
    text = f"points must be unit vectors; [a-z]+ point 3 has length {factor:g}"
    if factor == np.inf:
        text = "must be finite"
    for work in (
        lambda: solve(start, LAYERS, n_steps=1, passive=points),
        lambda: flow.start(start, points),
        lambda: flow.start(start, points.tolist()),
    ):
        with pytest.raises(ValueError, match=text):
            work()
    if factor != np.inf:
        comparison = PairFlow(flow, DirectField, frozenset())
        with pytest.raises(ValueError, match=f"sampled {text}"):
            comparison.start(start, Tokens(unit(points[:3])), (points, points))


def test_passive_points_are_taken_as_they_are():
    points = unit(np.random.default_rng(0).standard_normal((5, 3))) * (1 + 1e-7)
    run = solve(Density.from_law(LAW, SPHERE), LAYERS, n_steps=1, passive=points)
    assert np.array_equal(run.passive.values[0], points)
    with pytest.raises(TypeError, match=r"passive points have no weights: give their positions, passive = "):
        solve(Density.from_law(LAW, SPHERE), LAYERS, n_steps=1, passive=Tokens(points))


def test_arrays_are_no_tokens_and_numbers_no_counts():
    with pytest.raises(TypeError, match=r"tokens must be Tokens\(points\), or EuclideanTokens in R\^d, got ndarray"):
        simulate(np.eye(3), replace(LAYERS, kernel=Softmax(1.0)), n_steps=1)
    for settings in ({"n_steps": 4.0}, {"n_steps": True}, {"n_steps": 4, "save_every": 2.0}):
        with pytest.raises(ValueError, match=r"must be an integer >= [01], got (4\.0|True|2\.0)"):
            simulate(Tokens(np.eye(3)), replace(LAYERS, kernel=Softmax(1.0)), **settings)
    tokens = Tokens(Uniform(3).sample(np.random.default_rng(0), 4))
    assert simulate(tokens, replace(LAYERS, kernel=Softmax(1.0)), n_steps=np.int64(1)).sizes["depth_time"] == 2
