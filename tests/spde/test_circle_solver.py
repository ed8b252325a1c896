"""Densities on the circle: exact solutions E1 and E2, dense nodes, both backends, resumed runs, files, refusals."""

import dense
import numpy as np
import pytest

from particles import (
    Conformal,
    GaussianHeads,
    Homogenized,
    Linear,
    Noise,
    RandomTransformer,
    RecordedLayers,
    Recorder,
    Softmax,
    Tokens,
    Uniform,
    VonMisesFisherMixture,
    flow,
    simulate,
)
from particles.flow import TokenFlow, TokenState
from spde import Circle, Density, DensityFlow, DensityState, SeriesLaw, Sphere, solve
from spde.files.read import read_density
from tests.spde.domain.circle_sums import SummedCircle
from validation import w1_geodesic, w2_chordal

START = np.array([0.5, -0.3])
TWO = VonMisesFisherMixture([1.0, 0.5], [[0, 1.0], [1.0, 0]], [2.0, 3.0])


def heads():
    return GaussianHeads(2, 2**-0.5, 2**-0.5, 2)


def ring(n):
    """n equispaced points, by numpy alone."""
    theta = 2 * np.pi * np.arange(n) / n
    return np.stack([np.cos(theta), np.sin(theta)], axis=1)


def dense_moments(law, beta, start, n, n_steps):
    """Moments after each layer of equispaced nodes moved by the dense reference."""
    x = ring(n)
    w = start.pdf(x) / start.pdf(x).sum()
    found = [dense.moments(x, w)]
    for step in range(n_steps):
        (push,) = law.layer(step)
        x = dense.layer(x, w, beta, push.mixing, np.swapaxes(push.key, 1, 2) @ push.query)
        found.append(dense.moments(x, w))
    return np.array(found)


def moments_of(run):
    rows, columns = np.triu_indices(2)
    return np.concatenate([run.mean_token.values, run.second_moment.values[:, rows, columns]], axis=1)


def conformal_step(a, h):
    """Parameter after the unit-time flow of x' = P_x h: b (+) a, b = tanh(|h|/2) h/|h|."""
    size = np.linalg.norm(h)
    b = np.tanh(size / 2) * h / size
    ab, aa, bb = a @ b, a @ a, b @ b
    return ((1 + 2 * ab + aa) * b + (1 - bb) * a) / (1 + 2 * ab + aa * bb)


def test_conformal_family_in_the_plane():
    """Mass 1 and mean a for the exponent d - 1 = 1; its coefficients are those of the Poisson kernel."""
    x = ring(4000)
    for size in (0.02, 0.5, 0.95):
        a = size * np.array([0.6, 0.8])
        values = Conformal(a).pdf(x) * 2 * np.pi / 4000
        assert abs(values.sum() - 1) < 1e-13
        assert np.abs(values @ x - a).max() < 1e-13
    density = Density.from_law(Conformal(a), Circle(31))
    k, angle = np.arange(32), np.arctan2(0.8, 0.6)
    assert np.abs(density.coefficients - size**k * np.exp(-1j * k * angle) / np.sqrt(2 * np.pi)).max() < 1e-14
    drawn = Conformal([0.3, -0.5]).sample(np.random.default_rng(0), 20_000)
    spread = np.sqrt(np.diag(np.cov(drawn.T)) / 20_000)
    assert (np.abs(drawn.mean(axis=0) - [0.3, -0.5]) < 4 * spread).all()


def test_conformal_family_is_kept_exactly_by_the_flow():
    """E1: the mean of rho_a on the circle is a itself, so the parameter moves by h = (sum C_m) a."""
    law = Homogenized(heads(), Softmax(0.0), dt=0.05, nodes=1, noise=Noise(3), retraction=flow)
    start = Density.from_law(Conformal(START), Circle(127))
    run = solve(start, law, n_steps=40, save_every=8)
    a = START
    for step in range(40):
        (push,) = law.layer(step)
        a = conformal_step(a, push.mixing.sum(axis=0) @ a)
        if (step + 1) % 8 == 0:
            record = run.isel(depth_time=(step + 1) // 8)
            assert np.abs(record.density.values - Conformal(a).pdf(start.sphere.points)).max() < 1e-10
            assert np.abs(record.mean_token.values - a).max() < 1e-10
    assert np.linalg.norm(a - START) > 0.1


def test_linear_attention_gives_the_angular_central_gaussian():
    """E2, exact for `normalize`: rho = (2 pi)^-1 det(Q)^-1/2 (x^T Q^-1 x)^-1, Q = g g^T, g -> (I + C) g."""
    rng = np.random.default_rng(0)
    mixing = 0.12 * rng.standard_normal((12, 2, 2, 2))
    forms = rng.standard_normal((12, 2, 2, 2))
    law = RecordedLayers.from_query_key(mixing, forms, Linear())
    start = Density.from_law(Uniform(2), Circle(127))
    run = solve(start, law, n_steps=12)
    g, x = np.eye(2), start.sphere.points
    fine = ring(2000)
    for step in range(12):
        pdf = lambda y, q=g @ g.T: 1 / (2 * np.pi * np.sqrt(np.linalg.det(q)) * np.sum(  # noqa: E731
            y * np.linalg.solve(q, y.T).T, axis=1))  # fmt: skip
        assert np.abs(run.density.values[step] - pdf(x)).max() < 1e-8
        sigma = (fine * pdf(fine)[:, None]).T @ fine * 2 * np.pi / 2000
        assert np.abs(run.second_moment.values[step] - sigma).max() < 1e-8
        g = (np.eye(2) + sum(mixing[step, m] @ sigma @ forms[step, m] for m in range(2))) @ g
    assert run.density.values[-1].max() / run.density.values[-1].min() > 3


def test_moments_equal_dense_nodes():
    rng = np.random.default_rng(0)
    mixing, forms = 0.1 * rng.standard_normal((12, 3, 2, 2)), rng.standard_normal((12, 3, 2, 2))
    law = RecordedLayers.from_query_key(mixing, forms, Softmax(2.0))
    run = solve(Density.from_law(TWO, Circle(95)), law, n_steps=12)
    want = dense_moments(law, 2.0, TWO, 700, 12)
    assert np.abs(moments_of(run) - want).max() < 1e-7
    assert run.moment_defect.values.max() < 1e-7
    assert np.abs(want[-1] - want[0]).max() > 0.1


def test_mass_over_five_hundred_steps():
    law = Homogenized(heads(), Softmax(1.0), 0.002, 2, Noise(0))
    run = solve(Density.from_law(TWO, Circle(31), (8, 16)), law, n_steps=500, save_every=50)
    assert np.abs(run.mass.values - 1).max() < 1e-12


def test_direct_sums_give_the_same_run():
    law = Homogenized(heads(), Softmax(2.0), 0.02, 8, Noise(5))
    one, two = (
        solve(Density.from_law(TWO, kind(63)), law, n_steps=20, save_every=20)
        for kind in (Circle, SummedCircle)
    )
    assert np.abs(one.density.values - two.density.values).max() < 1e-10
    assert np.abs(moments_of(one) - moments_of(two)).max() < 1e-12


def test_remapping_less_often_gives_the_same_density():
    law, density = Homogenized(heads(), Softmax(2.0), 0.01, 4, Noise(6)), Density.from_law(TWO, Circle(127))
    runs = [
        solve(density, law, n_steps=12, save_every=12, remap_every=every).density.values[-1]
        for every in (1, 3, 12)
    ]
    assert np.abs(runs[0] - runs[1]).max() < 1e-8
    assert np.abs(runs[0] - runs[2]).max() < 1e-8


@pytest.mark.parametrize("attention", [Softmax(3.0), Linear()])
def test_rotating_everything_rotates_the_density(attention):
    rng, c, s = np.random.default_rng(2), np.cos(0.7), np.sin(0.7)
    rotation = np.array([[c, -s], [s, c]])
    mixing, forms = 0.1 * rng.standard_normal((2, 5, 2, 2, 2))
    means = np.array([[0, 1.0], [1, 0.2]])
    runs = []
    for turn in (np.eye(2), rotation):
        law = RecordedLayers.from_query_key(turn @ mixing @ turn.T, turn @ forms @ turn.T, attention)
        start = Density.from_law(VonMisesFisherMixture([1.0, 0.5], means @ turn.T, [2.0, 3.0]), Circle(63))
        runs.append(solve(start, law, n_steps=5, save_every=5))
    points = dense.nrm(rng.standard_normal((100, 2)))
    values = [
        start.sphere.synthesis_at(start.sphere.analysis(run.density.values[-1]), where)
        for run, where in zip(runs, (points, points @ rotation.T), strict=True)
    ]
    assert np.abs(values[0] - values[1]).max() < 1e-6
    assert np.abs(runs[0].mean_token.values[-1] @ rotation.T - runs[1].mean_token.values[-1]).max() < 1e-6


def test_tokens_come_together_or_face_each_other_by_their_angle():
    """Two tokens, beta = 0: P(R -> 1) = 1 - angle/pi (oracle), in the form that is exact for steps of any size.

    With `flow` a step is a conformal map of isotropic h, so by the mean value property of harmonic measure the arc
    from one token to the other is a martingale; it ends at 0 or 2 pi (R = 1) or at pi (R = -1), 2 pi only when a step
    is so long that the tokens pass each other's antipode.
    """
    n, n_steps, angle = 400, 25, 0.3 * np.pi
    pair = Tokens([[1.0, 0.0], [np.cos(angle), np.sin(angle)]])
    arcs = np.empty(n)
    for member in range(n):
        law = RandomTransformer(heads(), Softmax(0.0), 1.0, 1, Noise(1, member), flow)
        end = TokenFlow(law).advance(TokenState(0, pair.points, pair.weights), n_steps)
        first, second = np.arctan2(end.points[:, 1], end.points[:, 0])
        arcs[member] = (second - first) % (2 * np.pi)
    assert np.mean(np.abs(np.cos(arcs)) > 0.99) > 0.85
    assert 0.2 < np.mean(np.cos(arcs) < 0) < 0.4
    assert abs(arcs.mean() - angle) < 4 * arcs.std() / np.sqrt(n)


def test_mean_field_error_falls_like_the_root_of_n():
    """Slope -1/2 within 0.15 of the tokens' distance to their twins, n = 64 ... 1,024."""
    law, rng, sizes, replicas = (
        Homogenized(heads(), Softmax(2.0), 0.05, 4, Noise(1)),
        np.random.default_rng(0),
        (64, 256, 1024),
        12,
    )
    density = Density.from_law(TWO, Circle(7))
    samples = [[Tokens(TWO.sample(rng, n)) for _ in range(replicas)] for n in sizes]
    made = DensityFlow(density.sphere, law, remap_every=0)
    twins = np.concatenate([tokens.points for group in samples for tokens in group])
    moved = made.advance(DensityState(0, density.coefficients, density.nodes, twins), 6).passive
    begin, rms = 0, []
    for group in samples:
        square = 0.0
        for tokens in group:
            run = simulate(tokens, law, n_steps=6, save_every=6)
            square += np.mean(np.sum((run.tokens.values[-1] - moved[begin : begin + len(tokens)]) ** 2, axis=1))
            begin += len(tokens)
        rms.append(np.sqrt(square / replicas))
    slope = np.polyfit(np.log(sizes), np.log(rms), 1)[0]
    assert abs(slope + 0.5) < 0.15, (slope, rms)
    assert rms[-1] > 1e-4


def test_distances_on_the_circle():
    """Between a sample and itself turned by an angle: chordal and geodesic length of the turn, for few points."""
    turn = 0.2
    x = ring(3)
    c, s = np.cos(turn), np.sin(turn)
    y = x @ np.array([[c, s], [-s, c]])
    assert abs(w2_chordal(x, y) - 2 * np.sin(turn / 2)) < 1e-12
    assert abs(w1_geodesic(x, y) - turn) < 1e-7


def test_density_files_are_read_back(tmp_path):
    """The modes of a file tell the circle from the sphere; sampling follows the density."""
    density = Density.from_law(TWO, Circle(31))
    law = Homogenized(heads(), Softmax(1.0), 0.02, 2, Noise(0))
    recorder = Recorder(tmp_path / "d.nc")
    run = solve(density, law, n_steps=4, save_every=4, checkpoint=recorder)
    assert run.density.dims == ("depth_time", "lon")
    assert run.sh_degree.values.tolist() == run.sh_order.values.tolist() == list(range(32))
    assert np.abs(run.lon.values - 360 * np.arange(96) / 96).max() < 1e-12
    assert "Fourier" in run.coefficients.attrs["long_name"]
    series = read_density(tmp_path / "d.nc")
    assert isinstance(series.sphere, Circle)
    again = Density.from_coefficients(series.coefficients, Circle(31))
    assert np.abs(again.grid_values - run.density.values[-1]).max() < 1e-13
    assert np.abs(again.mean - run.mean_token.values[-1]).max() < 1e-6
    drawn = series.sample(np.random.default_rng(0), 5000)
    assert drawn.shape == (5000, 2)
    z = (drawn.mean(axis=0) - again.mean) / (drawn.std(axis=0) / np.sqrt(5000))
    assert np.abs(z).max() < 4
    assert isinstance(read_density(_on_the_sphere(tmp_path / "s.nc")).sphere, Sphere)
    run.isel(mode=slice(1, None)).reset_coords().to_netcdf(tmp_path / "bad.nc")
    with pytest.raises(ValueError, match=r"all modes 0 <= m <= l <= lmax \(of S\^2\) or m = l \(of S\^1\)"):
        read_density(tmp_path / "bad.nc")


def _on_the_sphere(path):
    sphere = Density.from_law(Uniform(3), Sphere(15))
    law = Homogenized(GaussianHeads(3, 1.0, 1.0, 3), Softmax(1.0), 0.02, 1, Noise(0))
    solve(sphere, law, n_steps=1, checkpoint=Recorder(path)).close()
    return path


def test_carried_nodes_are_counted_by_their_product():
    density = Density.from_law(Uniform(2), Circle(15), (3, 10))
    assert density.nodes.points.shape == (30, 2)
    assert np.abs(density.nodes.points - ring(30)).max() < 1e-15
    assert np.abs(density.nodes.weights - 1 / 30).max() < 1e-15


def test_bad_densities_are_refused():
    circle, narrow = Circle(31), VonMisesFisherMixture([1.0], [[0.3, 1.0]], [3000.0])
    with pytest.raises(ValueError, match=r"carried_nodes = \[4, 8\] give the initial density .*enough") as told:
        Density.from_law(narrow, circle, (4, 8))
    enough = tuple(int(word) for word in str(told.value).split("; [")[1].split("]")[0].split(","))
    assert abs(Density.from_law(narrow, Circle(255), enough).mass - 1) < 1e-13  # its mass is 1 to 3e-13 only
    with pytest.raises(ValueError, match="too concentrated: 2097152 nodes give mass"):
        Density.from_law(Conformal([1 - 1e-6, 0.0]), circle)
    with pytest.raises(ValueError, match=r"densities on S\^1 need tokens with d = 2, got d = 4"):
        Density.from_tokens(Tokens(np.eye(4)), circle)
    negative = np.array([1.0, 2.0, 0.0], dtype=complex)
    with pytest.raises(ValueError, match="the initial density is negative"):
        Density.from_coefficients(negative, circle)
    wave = np.zeros(41, dtype=complex)
    wave[[0, 40]] = 1.0, 0.4
    with pytest.raises(ValueError, match=r"carried_nodes = \[4, 10\] give .*; \[2, 21\] are enough"):
        Density.from_coefficients(wave, circle, (4, 10))
    assert abs(SeriesLaw(wave, circle).pdf(ring(42)).mean() * 2 * np.pi - 1) < 1e-12
    for d in (3, 4):
        law = Homogenized(GaussianHeads(d, 1.0, 1.0, d), Softmax(1.0), 0.02, 1, Noise(0))
        with pytest.raises(ValueError, match=rf"S\^1 \(d = 2\) and S\^2 \(d = 3\); .* d = 2, the layers have d = {d}"):
            DensityFlow(circle, law)
    with pytest.raises(ValueError, match=r"passive must have shape \(any, 2\)"):
        solve(Density.from_law(TWO, circle), Homogenized(heads(), Softmax(1.0), 0.02, 1, Noise(0)), n_steps=1,
              passive=np.eye(3))  # fmt: skip
