"""The solver against dense nodes, through a collapse, across backends, and resumed."""

import json
from dataclasses import replace

import dense
import numpy as np
import pytest
import xarray as xr

from particles import (
    Cloud,
    GaussianHeads,
    Homogenized,
    Layers,
    Noise,
    Push,
    RecordedLayers,
    Softmax,
    SolverError,
    Stream,
    Tokens,
    Uniform,
    VonMisesFisherMixture,
    simulate,
)
from particles.files.layers import read_layers
from spde import Density, DensityFlow, DensityState, Sphere, solve
from spde.domain.transforms import shtns_module

QUICK = VonMisesFisherMixture([1.0, 0.5], [[0, 0, 1.0], [1.0, 0, 0]], [2.0, 3.0])


def heads():
    return GaussianHeads(3, 3**-0.5, 3**-0.5, 3)


def dense_run(law, beta, start, nlat, n_steps):
    """Moments after each layer of Gauss nodes moved by the dense reference."""
    x, area = dense.gauss_nodes(nlat, 2 * nlat)
    w = area * start.pdf(x)
    w /= w.sum()
    found = [dense.moments(x, w)]
    for step in range(n_steps):
        (push,) = law.layer(step)
        x = dense.layer(x, w, beta, push.mixing, np.swapaxes(push.key, 1, 2) @ push.query)
        found.append(dense.moments(x, w))
    return np.array(found)


def moments_of(run):
    rows, columns = np.triu_indices(3)
    return np.concatenate([run.mean_token.values, run.second_moment.values[:, rows, columns]], axis=1)


def test_the_worked_example(data):
    example = json.loads((data / "example.json").read_text())
    shares, means, kappas = zip(*example["components"], strict=True)
    law = read_layers(data / "example_layers.nc")
    start = Density.from_law(VonMisesFisherMixture(shares, means, kappas), Sphere(47))
    run = solve(start, law, n_steps=len(law))
    assert np.abs(moments_of(run)[1:] - example["moments"]).max() < 1e-9
    assert run.moment_defect.values.max() < 1e-9
    assert np.abs(run.mass.values - 1).max() < 1e-13


def test_moments_equal_dense_nodes():
    """Recorded layers of order one: mean and second moment to 1e-7 at lmax 47."""
    rng = np.random.default_rng(0)
    mixing, forms = 0.1 * rng.standard_normal((12, 3, 3, 3)), rng.standard_normal((12, 3, 3, 3))
    law = RecordedLayers.from_query_key(mixing, forms, Softmax(2.0))
    run = solve(Density.from_law(QUICK, Sphere(47), carried=(48, 96)), law, n_steps=12)
    want = dense_run(law, 2.0, QUICK, 40, 12)
    assert np.abs(moments_of(run) - want).max() < 1e-7
    assert np.abs(want[-1] - want[0]).max() > 0.1


@pytest.mark.parametrize("strength", [5.0, 10.0, 20.0])
@pytest.mark.filterwarnings("ignore:the pointwise density is not resolved")
def test_moments_survive_the_collapse_and_the_loss_is_told(strength):
    """V = I, A = I from kappa = 20: 40 layers, lmax 31; the true maximum passes 70 on the way."""
    start, n_steps = VonMisesFisherMixture([1.0], [[0.3, -0.5, 0.8]], [20.0]), 40
    eye = np.broadcast_to(np.eye(3), (n_steps, 1, 3, 3))
    law = RecordedLayers.from_query_key(0.1 * eye, np.ascontiguousarray(eye), Softmax(strength))
    run = solve(Density.from_law(start, Sphere(31)), law, n_steps=n_steps)
    want = dense_run(law, strength, start, 36, n_steps)
    # the density contracts towards its axis, so its maximum is the one on the axis, kappa / (2 pi) at the start
    spread = 1 - np.linalg.norm(want[:, :3], axis=1)
    maximum = 1 / (4 * np.pi * spread)
    until = int(np.argmax(maximum > 70))
    assert until > 10
    assert np.abs(moments_of(run) - want)[: until + 1].max() < 1e-5
    lost = run.unresolved.values.astype(bool)
    assert not lost[:8].any()
    assert lost[until:].all()
    assert (run["spectral_tail"].values[until:] > 0.05).all()
    assert (run.min_density.values[until:] < -0.1).all()
    defect = run.moment_defect.values
    assert defect[lost].max() > 1e3 * defect[~lost].max()


def test_unresolved_marks_where_pointwise_values_go_wrong():
    """Linear layers, exact density: resolved records are right to 5 % of the maximum, lost ones are not."""
    from particles import Linear

    n_steps = 40
    mixing = np.broadcast_to(0.3 * np.diag([1.0, 0.0, -0.5]), (n_steps, 1, 3, 3))
    law = RecordedLayers.from_query_key(mixing, np.broadcast_to(np.eye(3), mixing.shape), Linear())
    start = Density.from_law(Uniform(3), Sphere(31), carried=(48, 96))
    lost = pytest.warns(RuntimeWarning, match="the pointwise density is not resolved")
    with lost, pytest.warns(RuntimeWarning, match="mean and second moment are known to about .* raise carried_nodes"):
        run = solve(start, law, n_steps=n_steps)
    g, worst = np.eye(3), []
    for step in range(n_steps):
        g = (np.eye(3) + mixing[step, 0] @ run.second_moment.values[step]) @ g
        inverse = np.linalg.inv(g @ g.T)
        x = start.sphere.points
        exact = np.einsum("ij,jk,ik->i", x, inverse, x) ** -1.5 * np.sqrt(np.linalg.det(inverse)) / (4 * np.pi)
        worst.append(np.abs(run.density.values[step + 1].ravel() - exact).max() / exact.max())
    lost = run.unresolved.values[1:].astype(bool)
    assert 0 < lost.sum() < n_steps
    assert np.array(worst)[~lost].max() < 0.05
    assert np.array(worst)[lost].min() > 1e-3


@pytest.mark.skipif(shtns_module() is None, reason="shtns is not installed")
@pytest.mark.parametrize("lmax", [15, 63])
def test_backends_give_the_same_run(lmax):
    law = Homogenized(heads(), Softmax(2.0), 0.02, 8, Noise(5))
    one, two = (
        solve(Density.from_law(QUICK, Sphere(lmax, backend)), law, n_steps=20, save_every=20)
        for backend in ("shtns", "ducc0")
    )
    assert np.abs(one.density.values - two.density.values).max() < 1e-10
    assert np.abs(one.coefficients.values - two.coefficients.values).max() < 1e-10
    assert np.abs(moments_of(one) - moments_of(two)).max() < 1e-10


def test_passive_points_follow_the_flow():
    """Passive points put on the carried nodes stay on them."""
    density = Density.from_law(QUICK, Sphere(15))
    flow = DensityFlow(density.sphere, Homogenized(heads(), Softmax(2.0), 0.02, 4, Noise(6)))
    state = flow.advance(DensityState(0, density.coefficients, density.nodes, density.nodes.points[:50]), 12)
    assert np.abs(state.passive - state.nodes.points[:50]).max() < 1e-12


def test_remapping_less_often_gives_the_same_density():
    law, density = Homogenized(heads(), Softmax(2.0), 0.01, 4, Noise(6)), Density.from_law(QUICK, Sphere(47))
    runs = [
        solve(density, law, n_steps=12, save_every=12, remap_every=r).density.values[-1]
        for r in (1, 3, 12)
    ]
    assert np.abs(runs[0] - runs[1]).max() < 1e-8
    assert np.abs(runs[0] - runs[2]).max() < 1e-8
    alone = solve(density, law, n_steps=12, save_every=12, remap_every=0)
    assert np.isnan(alone.moment_defect.values).all()
    assert np.abs(alone.coefficients.values[-1, :9] - solve(
        density, law, n_steps=12, save_every=12).coefficients.values[-1, :9]).max() < 1e-6  # fmt: skip


def test_stop_on_loss_of_resolution():
    start = VonMisesFisherMixture([1.0], [[0, 0, 1.0]], [20.0])
    eye = np.broadcast_to(np.eye(3), (40, 1, 3, 3))
    law = RecordedLayers.from_query_key(0.1 * eye, np.ascontiguousarray(eye), Softmax(5.0))
    with pytest.raises(SolverError, match="no longer resolved") as caught:
        solve(Density.from_law(start, Sphere(31)), law, n_steps=40, save_every=40, on_unresolved="stop")
    assert 5 < caught.value.step < 20
    assert caught.value.state.step == caught.value.step


def test_non_finite_states_stop_the_run():
    class Broken:
        dt, d, noise_scale = 0.1, 3, None

        def layer(self, step):
            size = np.nan if step == 3 else 0.1
            push = Homogenized(heads(), Softmax(1.0), 0.01, 1, Noise(0)).layer(step)[0]
            return (replace(push, out=size * push.mixing),)

    with pytest.raises(SolverError, match=r"no longer finite \(step 3, depth time 0.3\)") as caught:
        solve(Density.from_law(QUICK, Sphere(15)), Broken(), n_steps=5)
    assert np.isfinite(caught.value.state.nodes.points).all()
    with pytest.raises(SolverError, match=r"step 3"):
        simulate(Tokens(Uniform(3).sample(np.random.default_rng(0), 5)), Broken(), n_steps=5)


def test_long_steps_warn_once():
    law = RecordedLayers.from_query_key(2 * np.ones((3, 1, 3, 3)), np.ones((3, 1, 3, 3)), Softmax(1.0))
    with pytest.warns(RuntimeWarning) as caught:
        solve(Density.from_law(QUICK, Sphere(15)), law, n_steps=3)
    assert sum("|U| > 1" in str(one.message) for one in caught) == 1


def test_initial_densities_are_checked():
    sphere = Sphere(31)
    with pytest.raises(ValueError, match=r"carried_nodes = \[24, 48\] give the initial density the mass .*enough"):
        Density.from_law(VonMisesFisherMixture([1.0], [[0, 0, 1.0]], [800.0]), sphere, (24, 48))
    narrow = Density.from_law(VonMisesFisherMixture([1.0], [[0, 0, 1.0]], [800.0]), sphere, (128, 256))
    assert abs(narrow.mass - 1) < 1e-13
    with pytest.raises(ValueError, match="too concentrated"):
        Density.from_law(VonMisesFisherMixture([1.0], [[0, 0.1, 1.0]], [1e6]), sphere)
    with pytest.raises(ValueError, match="need tokens with d = 3"):
        Density.from_tokens(Tokens(np.eye(4)), sphere)


def test_coefficients_are_numbered_by_degree():
    run = solve(Density.from_law(QUICK, Sphere(15)), Homogenized(heads(), Softmax(1.0), 0.01, 1, Noise(0)), n_steps=1)
    degree, order = run.sh_degree.values, run.sh_order.values
    assert degree[:6].tolist() == [0, 1, 1, 2, 2, 2]
    assert order[:6].tolist() == [0, 0, 1, 0, 1, 2]
    assert abs(run.coefficients.values[0, 0, 0] - (4 * np.pi) ** -0.5) < 1e-15
    mean_z = np.sqrt(4 * np.pi / 3) * run.coefficients.values[1, 1, 0]
    assert abs(mean_z - run.mean_token.values[1, 2]) < 1e-7
    grid = xr.DataArray(Sphere(15).weights.reshape(32, 64), dims=("lat", "lon"))
    assert np.abs((run.density * grid).sum(("lat", "lon")).values - 1).max() < 1e-12


def test_cloud_of_two_points_is_resolved_by_nobody_but_moves():
    cloud = Tokens([[0, 0, 1.0], [0, 1.0, 0]])
    density = Density.from_tokens(cloud, Sphere(15))
    assert isinstance(density.nodes, Cloud)
    assert density.moment_defect < 1e-14
    assert density.spectral_tail > 0.1


def test_a_push_of_ones_own_moves_a_density_and_its_twins():
    """U = w given: points that ride on the density go where tokens go, and the mean of the nodes with them."""

    class Wind(Push):
        def __init__(self, wind):
            self.wind = wind

        def velocity(self, measure):
            return lambda points: np.broadcast_to(self.wind, points.shape)

    def layer(step):
        return Wind(0.1 * Noise(3).generator(Stream.USER, step).standard_normal(3))

    law, start = Layers(layer, d=3, dt=0.1), Density.from_law(QUICK, Sphere(31))
    points = QUICK.sample(np.random.default_rng(0), 20)
    run = solve(start, law, n_steps=5, passive=points)
    assert np.abs(run.passive.values - simulate(Tokens(points), law, n_steps=5).tokens.values).max() < 1e-14
    assert float(run.moment_defect.max()) < 1e-6
    assert np.abs(run.mean_token.values[-1] - run.mean_token.values[0]).max() > 0.05
    with pytest.raises(TypeError, match="characteristics need a field with a jacobian; function has none"):
        solve(start, law, n_steps=1, characteristics=True)
