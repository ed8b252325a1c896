"""Laws of layers: moments of the mixing matrices, shared noise, coarse paths, and what is refused."""

from dataclasses import dataclass, replace

import dense
import numpy as np
import pytest
from scipy import stats

from particles import (
    L2,
    Causal,
    Cloud,
    FixedHeads,
    GaussianHeads,
    Homogenized,
    Layers,
    Linear,
    LowRankHeads,
    Noise,
    Push,
    RademacherHeads,
    RandomTransformer,
    Softmax,
    Stream,
    Tokens,
    Uniform,
    UniformHeads,
    geodesic,
    mean_token,
    normalize,
    record,
    simulate,
)
from particles.derivatives.adjoint import push_vjp
from particles.files.layers import write_layers


def z_of_variance(samples, variance):
    """z-score of the second moment of centred Gaussian samples; sqrt(2) off is beyond 8 for a thousand of them."""
    samples = np.ravel(samples)
    return (np.mean(samples**2) / variance - 1) / np.sqrt(2 / samples.size)


LAWS = {  # fourth moment of an entry of variance 1
    GaussianHeads: 3.0,
    RademacherHeads: 1.0,
    UniformHeads: 9 / 5,
}


@pytest.mark.parametrize("law", LAWS)
def test_heads_have_the_stated_law(law):
    heads = law(6, 0.7, 0.3, 4).sample(np.random.default_rng(0), 4000)
    for array, sigma, shape in ((heads.value, 0.7, (6, 6)), (heads.query, 0.3, (4, 6)), (heads.key, 0.3, (4, 6))):
        assert array.shape == (4000, *shape)
        assert abs(z_of_variance(array, sigma**2)) < 4
        assert abs(z_of_variance(array, 2 * sigma**2)) > 8  # power: a factor sqrt(2) would be seen
        assert abs(array.mean() * np.sqrt(array.size) / sigma) < 4
        fourth = (array / sigma) ** 4
        others = [moment for other, moment in LAWS.items() if other is not law]
        error = fourth.std() / np.sqrt(array.size) + 1e-12
        assert abs(fourth.mean() - LAWS[law]) < 4 * error
        assert min(abs(fourth.mean() - moment) for moment in others) > 8 * error
    assert abs(np.corrcoef(heads.query.ravel(), heads.key.ravel())[0, 1]) < 4 / np.sqrt(heads.key.size)
    form = np.swapaxes(heads.key, 1, 2) @ heads.query
    assert abs(np.mean(form**2) / (4 * 0.3**4) - 1) < 0.1


@pytest.mark.parametrize("law", LAWS)
def test_means_are_added_exactly(law):
    mean_v, mean_a = np.arange(9.0).reshape(3, 3), np.diag([1.0, -2.0, 0.5])
    heads = law(3, 0.0, 0.0, 2, mean_v, mean_a).sample(np.random.default_rng(0), 2)
    assert np.array_equal(heads.value[1], mean_v)
    assert np.allclose(np.swapaxes(heads.key, 1, 2) @ heads.query, mean_a, atol=1e-15)


def test_transformer_layers_scale_the_values():
    law = RandomTransformer(GaussianHeads(5, 0.4, 0.4, 5), Softmax(0.0), eta=0.2, n_heads=4, noise=Noise(3))
    drawn = np.stack([law.layer(step)[0].mixing for step in range(500)])
    assert law.dt == 0.2
    assert law.noise_scale == 0.05
    assert abs(z_of_variance(drawn, (0.05 * 0.4) ** 2)) < 4


@pytest.mark.parametrize("entries", LAWS)
@pytest.mark.parametrize("fixed", [False, True])
def test_homogenized_layers_have_mean_and_covariance_of_the_equation(fixed, entries):
    """C_m with Vbar: mean dt w Vbar; Gaussian part eps dt w sigma_v^2; mean part c^2 eps dt w (1 - w) along Vbar."""
    dt, nodes, eps, sigma = 0.1, 3, 0.5, 0.4
    mean_v = np.array([[1.0, 2.0], [0.0, -1.0]])
    law = Homogenized(
        entries(2, sigma, 0.5, 2, mean_v),
        Softmax(0.0),
        dt=dt,
        nodes=nodes,
        noise=Noise(1),
        noise_scale=eps,
        fixed=fixed,
    )
    drawn = np.stack([law.layer(step)[0].mixing for step in range(6000)])
    n, w = len(drawn), 1 / nodes
    factor = 1.0 if fixed else (nodes - dt / eps) / (nodes - 1)
    along = eps * dt * factor * w * (1 - w)
    variance = eps * dt * w * sigma**2 + along * mean_v**2
    centred = drawn - dt * w * mean_v
    z_mean = centred.mean(axis=0) / np.sqrt(variance / n)
    z_variance = (np.mean(centred**2, axis=0) / variance - 1) / np.sqrt(2 / n)
    assert np.abs(z_mean).max() < 4.5
    assert np.abs(z_variance).max() < 4.5
    assert np.abs((np.mean(centred**2, axis=0) / (2 * variance) - 1) / np.sqrt(2 / n)).min() > 8
    # the mean part cancels in the sum over nodes, and couples different nodes with a minus sign
    total = centred.sum(axis=1)
    assert np.abs((np.mean(total**2, axis=0) / (eps * dt * sigma**2) - 1) / np.sqrt(2 / n)).max() < 4.5
    cross = np.mean(centred[:, 0, 0, 1] * centred[:, 1, 0, 1])
    spread = variance[0, 0, 1] if variance.ndim == 3 else variance[0, 1]
    assert abs(cross + eps * dt * factor * w * w * mean_v[0, 1] ** 2) < 4.5 * spread / np.sqrt(n)


def test_one_layer_of_fresh_nodes_is_the_transformers_own():
    """dt = eta, M = H, eps = eta/H: c = 0, so C_m has the law of (eta/H) V_m (Kolmogorov-Smirnov)."""
    eta, n_heads, mean_v = 0.3, 2, np.array([[0.5, 0.0], [0.2, -0.4]])
    heads = GaussianHeads(2, 0.4, 0.5, 2, mean_v)
    chain = RandomTransformer(heads, Softmax(0.0), eta, n_heads, Noise(1))
    law = Homogenized(heads, Softmax(0.0), dt=eta, nodes=n_heads, noise=Noise(2), noise_scale=eta / n_heads)
    for row, column in ((0, 0), (1, 0)):
        one, two = (
            np.concatenate([one_law.layer(k)[0].mixing[:, row, column] for k in range(1500)])
            for one_law in (chain, law)
        )
        assert stats.ks_2samp(one, two).pvalue > 1e-4
        assert stats.ks_2samp(one, np.sqrt(2) * two).pvalue < 1e-8


@pytest.mark.parametrize("law", [GaussianHeads, RademacherHeads, UniformHeads, LowRankHeads])
def test_inner_dimensions_are_from_one_to_d(law):
    for head_dim in (1, 3):
        heads = law(3, 0.5, 0.5, head_dim).sample(np.random.default_rng(0), 2)
        assert heads.query.shape == heads.key.shape == (2, head_dim, 3)
    for head_dim in (0, 4, -1):
        with pytest.raises(ValueError, match=f"head_dim must be between 1 and d = 3, got {head_dim}"):
            law(3, 0.5, 0.5, head_dim)


def test_streams_do_not_share_numbers():
    streams = Stream.__members__.values()  # those of the same number too
    noise = Noise(5, 2)
    draws = [noise.generator(s, step, r).random(4) for s in streams for step in (0, 1) for r in (0, 1)]
    assert len({tuple(d) for d in draws}) == len(draws)


def test_retractions_agree_to_second_order_for_tangent_moves_and_stay_on_the_sphere():
    rng = np.random.default_rng(0)
    x, u = Uniform(5).sample(rng, 20), rng.standard_normal((20, 5))
    for retraction in (normalize, geodesic):
        assert np.abs(np.linalg.norm(retraction(x, u), axis=1) - 1).max() < 1e-15 * 5
    tangent = u - np.sum(x * u, axis=1, keepdims=True) * x
    gaps = [np.abs(normalize(x, h * tangent) - geodesic(x, h * tangent)).max() for h in (1e-2, 1e-3)]
    assert 900 < gaps[0] / gaps[1] < 1100  # third order apart
    assert np.array_equal(geodesic(x, np.zeros_like(x)), normalize(x, np.zeros_like(x)))
    length = np.linalg.norm(tangent, axis=1)
    overlap = np.sum(geodesic(x, tangent) * x, axis=1)
    assert np.abs(overlap - np.cos(length)).max() < 1e-14


def test_two_tokens_at_beta_zero_have_the_exact_drift_and_diffusion():
    """oracle: dR drift (1-R^2)(d-2-R)/(2d), diffusion (1-R^2)/sqrt d, from one small step of many members."""
    d, overlap, dt, n = 4, 0.3, 1e-3, 60_000
    tokens = Tokens(np.array([[1.0, 0, 0, 0], [overlap, np.sqrt(1 - overlap**2), 0, 0]]))
    rng = np.random.default_rng(1)
    mixing = np.sqrt(dt) * d**-0.5 * rng.standard_normal((n, d, d))
    moved = tokens.points + np.einsum("nij,j->ni", mixing, tokens.mean)[:, None, :]
    moved /= np.linalg.norm(moved, axis=2, keepdims=True)
    change = np.einsum("ni,ni->n", moved[:, 0], moved[:, 1]) - overlap
    law = Homogenized(GaussianHeads(d, d**-0.5, 1.0, d), Softmax(0.0), dt=dt, nodes=1, noise=Noise(4))
    steps = []
    for step in range(400):
        run = simulate(tokens, _Shifted(law, step), n_steps=1)
        steps.append(run.tokens.values[-1, 0] @ run.tokens.values[-1, 1] - overlap)
    drift, diffusion = (1 - overlap**2) * (d - 2 - overlap) / (2 * d), (1 - overlap**2) / np.sqrt(d)
    assert abs(change.mean() - drift * dt) < 4 * diffusion * np.sqrt(dt / n)
    assert abs(change.var() / (diffusion**2 * dt) - 1) < 4 * np.sqrt(2 / n) + 0.01
    assert abs(np.var(steps) / (diffusion**2 * dt) - 1) < 4 * np.sqrt(2 / 400)


class _Shifted:
    """A law that begins at a later step."""

    def __init__(self, law, offset):
        self.law, self.offset = law, offset
        self.dt, self.d, self.noise_scale = law.dt, law.d, law.noise_scale

    def layer(self, step):
        return self.law.layer(step + self.offset)


def test_bad_laws_are_refused():
    heads = GaussianHeads(3, 0.5, 0.5, 3)
    cases = [
        (lambda: GaussianHeads(1, 0.5, 0.5, 1), "d must be at least 2, got 1"),
        (lambda: GaussianHeads(3, np.nan, 0.5, 3), "sigma_v must be finite and >= 0, got nan"),
        (lambda: GaussianHeads(3, 0.5, 0.5, 4), "head_dim must be between 1 and d = 3, got 4"),
        (lambda: GaussianHeads(3, 0.5, 0.5, 3, np.ones((2, 3))), r"mean_v must have shape \(3, 3\), got \(2, 3\)"),
        (lambda: RandomTransformer(heads, Softmax(0.0), 0.0, 1, Noise(0)), "eta must be positive"),
        (lambda: RandomTransformer(heads, Softmax(0.0), 0.1, 0, Noise(0)), "heads must be an integer >= 1"),
        (lambda: Homogenized(heads, Softmax(0.0), np.inf, 1, Noise(0)), "dt must be positive and finite"),
        (lambda: Homogenized(heads, Softmax(0.0), 0.1, 1, Noise(0)).coarsen(2), "only layers with fixed nodes"),
        (lambda: Noise(-1), "seed must be an integer >= 0"),
        (lambda: Linear(-1.0), "beta must be finite"),
    ]
    for make, text in cases:
        with pytest.raises(ValueError, match=text):
            make()
    shifted = GaussianHeads(3, 0.5, 0.5, 3, np.eye(3))
    with pytest.raises(ValueError, match="nodes must be at least 2"):
        Homogenized(shifted, Softmax(0.0), 0.1, 1, Noise(0))
    with pytest.raises(ValueError, match=r"dt must be at most nodes \* noise_scale = 0.2"):
        Homogenized(shifted, Softmax(0.0), 0.3, 2, Noise(0), noise_scale=0.1)
    fixed = FixedHeads(np.ones((2, 3, 3)), np.ones((2, 1, 3)), np.ones((2, 1, 3)))
    with pytest.raises(TypeError, match="values independent of A"):
        Homogenized(fixed, Softmax(0.0), 0.1, 1, Noise(0))
    with pytest.raises(ValueError, match="heads must be the number of heads that are given, 2"):
        RandomTransformer(fixed, Softmax(0.0), 0.1, 3, Noise(0)).layer(0)


# --- laws and pushes of one's own


@dataclass(frozen=True)
class Wind(Push):
    """U = K (mean token) + w."""

    strength: float
    wind: np.ndarray

    def velocity(self, measure):
        pull = self.strength * mean_token(measure) + self.wind
        return lambda points: np.broadcast_to(pull, points.shape)


def windy(member=0, many=1):
    """Wind in random directions, `many` pushes a layer."""

    def layer(step):
        winds = 0.1 * Noise(3, member).generator(Stream.USER, step).standard_normal((many, 4))
        pushes = tuple(Wind(0.2, wind) for wind in winds)
        return pushes if many > 1 else pushes[0]

    return Layers(layer, d=4, dt=0.1)


def test_a_push_of_ones_own_is_one_method():
    """One layer by hand; a function may give one push or several; the noise is a stream of its own."""
    tokens = Tokens(Uniform(4).sample(np.random.default_rng(0), 7))
    run = simulate(tokens, windy(), n_steps=2)
    winds = [0.1 * Noise(3).generator(Stream.USER, step).standard_normal((1, 4)) for step in range(2)]
    x = tokens.points
    for wind in winds:
        x = dense.nrm(x + 0.2 * x.mean(axis=0) + wind)
    assert np.abs(run.tokens.values[-1] - x).max() < 1e-14
    assert run.depth_time.values.tolist() == [0.0, 0.1, 0.2]
    assert len(windy(many=3).layer(0)) == 3
    assert len(set(Stream)) == len({Noise(3).generator(stream).standard_normal() for stream in Stream})
    for wrong in (lambda: Layers(None, d=1, dt=0.1), lambda: Layers(None, d=3, dt=0.0)):
        with pytest.raises(ValueError, match="must be"):
            wrong()


@pytest.mark.parametrize("kernel", [Softmax(2.0), Causal(L2(1.5)), Linear(0.5)])
def test_recorded_layers_bring_their_kernel(kernel):
    tokens = Tokens(Uniform(3).sample(np.random.default_rng(0), 7))
    law = RandomTransformer(GaussianHeads(3), kernel, eta=0.3, n_heads=2, noise=Noise(2))
    recorded = record(law, 4)
    assert (recorded.kernel, recorded.beta) == (kernel, kernel.beta)
    plain, again = (simulate(tokens, one, n_steps=4).tokens.values for one in (law, recorded))
    assert np.array_equal(plain, again)


def test_a_kernel_without_beta_goes_into_no_layers_file(tmp_path):
    class Mean:
        def barycenter(self, points, measure, query, key):
            return np.tile(mean_token(measure), (len(points), 1))

    law = record(RandomTransformer(GaussianHeads(3), Mean(), eta=0.3, n_heads=2, noise=Noise(2)), 2)
    with pytest.raises(TypeError, match="layers files hold the beta of a kernel; Mean has none"):
        write_layers(law, tmp_path / "layers.nc")


@dataclass(frozen=True)
class Tempered:
    """Softmax with an inverse temperature of each head's own."""

    beta: float = 1.0

    def of_head(self, parameters):
        return Softmax(self.beta * parameters[0])

    def barycenter(self, points, measure, query, key):
        return Softmax(self.beta).barycenter(points, measure, query, key)


@dataclass(frozen=True)
class TemperedHeads:
    """Gaussian heads with temperatures drawn beside them."""

    d: int

    def sample(self, rng, size):
        heads = GaussianHeads(self.d).sample(rng, size)
        return replace(heads, parameters=rng.uniform(0.5, 3.0, (size, 1)))


def test_heads_may_carry_parameters_of_the_kernel():
    """beta of a head is a factor of its query: forwards, and backwards."""
    tokens = Tokens(Uniform(3).sample(np.random.default_rng(0), 7))
    law = RandomTransformer(TemperedHeads(3), Tempered(2.0), eta=0.3, n_heads=2, noise=Noise(2))
    (push,) = law.layer(0)
    plain = replace(push, kernel=Softmax(2.0), query=push.parameters[:, None] * push.query, parameters=None)
    cloud, points = Cloud(tokens.points, tokens.weights), Uniform(3).sample(np.random.default_rng(1), 5)
    assert np.abs(push.velocity(cloud)(points) - plain.velocity(cloud)(points)).max() < 1e-15
    assert np.abs(push.velocity(cloud).jacobian(points) - plain.velocity(cloud).jacobian(points)).max() < 1e-14
    gradient = np.random.default_rng(2).standard_normal(tokens.points.shape)
    assert np.abs(push_vjp(push, cloud, gradient) - push_vjp(plain, cloud, gradient)).max() < 1e-14
    assert (
        np.abs(push.only(slice(1, 2)).velocity(cloud)(points) - plain.only(slice(1, 2)).velocity(cloud)(points)).max()
        < 1e-15
    )
    with pytest.raises(TypeError, match="heads have parameters, and Softmax takes none"):
        replace(law, kernel=Softmax(2.0)).layer(0)
    with pytest.raises(ValueError, match="layer 0 has a kernel that differs from head to head"):
        record(law, 1)
