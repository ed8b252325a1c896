"""Initial laws: densities integrate to one and samples follow them."""

import numpy as np
import pytest
from scipy import integrate

from particles import Conformal, Empirical, Simplex, Tokens, Uniform, VonMisesFisherMixture
from particles.harmonics import gauss_grid

LAWS = {
    "uniform": Uniform(3),
    "mixture": VonMisesFisherMixture([2.0, 1.0], [[0, 0, 2.0], [1.0, 1.0, 0]], [5.0, 0.0]),
    "concentrated": VonMisesFisherMixture([1.0], [[0.3, 0, 1.0]], [60.0]),
    "nearly uniform": VonMisesFisherMixture([1.0], [[0, 0, 1.0]], [1e-12]),
    "conformal": Conformal([0.3, -0.2, 0.4]),
}


@pytest.mark.parametrize("name", LAWS)
def test_samples_follow_the_density(name):
    points, area = gauss_grid(64, 128)
    weights = area * LAWS[name].pdf(points)
    assert abs(weights.sum() - 1) < 1e-12
    n = 40_000
    sample = LAWS[name].sample(np.random.default_rng(0), n)
    assert np.abs(np.linalg.norm(sample, axis=1) - 1).max() < 1e-14
    mean, second = weights @ points, (points * weights[:, None]).T @ points
    spread = np.sqrt(np.diag(second) - mean**2)
    assert (np.abs(sample.mean(axis=0) - mean) < 4.5 * spread / np.sqrt(n) + 1e-12).all()
    assert np.abs(sample.T @ sample / n - second).max() < 4.5 / np.sqrt(n) * 0.5


@pytest.mark.parametrize("d", [2, 4, 7])
@pytest.mark.parametrize("kappa", [0.0, 1e-9, 0.5, 30.0])
def test_von_mises_fisher_in_any_dimension(d, kappa):
    """The density depends on u = <mean, x> alone: int pdf (1-u^2)^((d-3)/2) du times |S^(d-2)| is 1."""
    from particles.initial import sphere_area

    mean = np.eye(d)[0]
    law = VonMisesFisherMixture([1.0], [mean], [kappa])

    def ring(angle):
        x = np.zeros((1, d))
        x[0, 0], x[0, 1] = np.cos(angle), np.sin(angle)
        return law.pdf(x)[0] * np.sin(angle) ** (d - 2) * (sphere_area(d - 1) if d > 2 else 2.0)

    assert abs(integrate.quad(ring, 0, np.pi, epsabs=1e-13)[0] - 1) < 1e-9
    length = integrate.quad(lambda angle: ring(angle) * np.cos(angle), 0, np.pi, epsabs=1e-13)[0]
    sample = law.sample(np.random.default_rng(1), 20_000)
    assert abs(sample[:, 0].mean() - length) < 4.5 / np.sqrt(20_000)


def test_simplex_has_equal_overlaps():
    for overlap, n in ((0.3, 5), (-0.25, 5), (0.0, 6), (0.9, 2)):
        points = Simplex(6, overlap).sample(np.random.default_rng(2), n)
        gram = points @ points.T
        assert np.abs(gram - ((1 - overlap) * np.eye(n) + overlap)).max() < 1e-12
    with pytest.raises(ValueError, match="at most d = 6"):
        Simplex(6, 0.1).sample(np.random.default_rng(2), 7)
    with pytest.raises(ValueError, match="overlap must lie"):
        Simplex(6, -0.5).sample(np.random.default_rng(2), 5)


def test_empirical_law_draws_its_own_points():
    tokens = Tokens(np.eye(3), [1.0, 2.0, 7.0])
    drawn = Empirical(tokens).sample(np.random.default_rng(3), 5000)
    share = drawn.mean(axis=0)
    assert np.abs(share - tokens.weights).max() < 0.03


def test_bad_laws_are_refused():
    cases = [
        (lambda: VonMisesFisherMixture([1.0, -1.0], np.eye(3)[:2], [1.0, 1.0]), "weight must be positive"),
        (lambda: VonMisesFisherMixture([1.0], [[0, 0, 0.0]], [1.0]), "mean must not be the zero vector"),
        (lambda: VonMisesFisherMixture([1.0], [[0, 0, 1.0]], [-1.0]), "kappa must be >= 0"),
        (lambda: VonMisesFisherMixture([1.0], [[0, 0, np.nan]], [1.0]), "mean must be finite"),
        (lambda: Conformal([0.0, 0.0, 1.0]), "a must have a length below 1"),
        (lambda: Tokens(np.zeros((0, 3))), "n >= 1"),
        (lambda: Tokens([[0, 0, 2.0]]), "unit vectors; token 0 has length 2"),
        (lambda: Tokens([[0, 1.0, 0], [0, 0, 0.5]]), "unit vectors; token 1 has length 0.5"),
        (lambda: Tokens([[0, 0, 1.0]], [-1.0]), "weights must be positive"),
    ]
    for make, text in cases:
        with pytest.raises(ValueError, match=text):
            make()
    with pytest.raises(TypeError, match="real numbers"):
        Tokens(np.array([["a", "b"]]))
