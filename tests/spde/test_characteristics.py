"""Characteristics of a density run: exact densities where lmax is lost, entropy, areas, folds, resuming."""

from dataclasses import replace

import dense
import numpy as np
import pytest

from particles import (
    AttentionPush,
    Ballistic,
    Conformal,
    DirectField,
    FixedHeads,
    GaussianHeads,
    Homogenized,
    Linear,
    Modified,
    Noise,
    RecordedLayers,
    Softmax,
    SolverError,
    Tokens,
    Uniform,
    VonMisesFisherMixture,
    flow,
)
from particles.harmonics import synthesis_at
from particles.layers.schemes import RungeKutta4
from spde import Density, DensityFlow, SpectralField, Sphere, solve, spectral_field
from spde.state import density_state
from tests.spde.test_exact import angular_gaussian, conformal_step

QUICK = VonMisesFisherMixture([1.0, 0.5], [[0, 0, 1.0], [1.0, 0, 0]], [2.0, 3.0])
unresolved = pytest.mark.filterwarnings(
    "ignore:the pointwise density is not resolved", "ignore:the low moments of", "ignore:mean and second moment are"
)


def homogenized(nodes=4, dt=0.02):
    return Homogenized(GaussianHeads(3, 3**-0.5, 3**-0.5, 3), Softmax(2.0), dt, nodes, Noise(6))


def recorded(mixing, forms, retraction=None):
    law = RecordedLayers.from_query_key(mixing, forms, Softmax(2.0))
    return law if retraction is None else RecordedLayers.from_query_key(mixing, forms, Softmax(2.0), retraction)


@unresolved
def test_conformal_density_where_lmax_63_is_lost():
    """E1 with `flow`: the nodes' density to 1e-8 at |a| > 0.99; the coefficients have lost it by far."""
    mixing = np.broadcast_to(0.3 * np.eye(3), (30, 1, 3, 3))
    law = recorded(mixing, np.zeros_like(mixing), flow)
    start = Density.from_law(Conformal(np.array([0.3, -0.1, 0.2])), Sphere(63), (24, 48))
    run = solve(start, replace(law, kernel=Softmax(0.0)), n_steps=30, characteristics=True)
    a = np.array([0.3, -0.1, 0.2])
    for step in range(30):
        a = conformal_step(a, 0.3 * run.mean_token.values[step])
        exact = np.log(Conformal(a).pdf(run.node.values[step + 1]))
        assert np.abs(run.node_log_density.values[step + 1] - exact).max() < 1e-8
    assert np.linalg.norm(a) > 0.99
    assert run.unresolved.values[-1]
    maximum = ((1 + np.linalg.norm(a)) / (1 - np.linalg.norm(a))) ** 2 / (4 * np.pi)
    assert np.exp(run.node_log_density.values[-1].max()) > 0.5 * maximum
    assert run.density.values[-1].max() < 0.3 * maximum
    assert not run.folds.values.any()


@unresolved
def test_angular_gaussian_where_lmax_63_is_lost():
    """E2 at condition 1e4 and more: 1e-8 at the nodes."""
    rng = np.random.default_rng(0)
    mixing = np.diag([0.15, 0, -0.1]) + 0.03 * rng.standard_normal((60, 2, 3, 3))
    forms = np.eye(3) + 0.3 * rng.standard_normal((60, 2, 3, 3))
    start = Density.from_law(Uniform(3), Sphere(63), (24, 48))
    run = solve(start, replace(recorded(mixing, forms), kernel=Linear()), n_steps=60, characteristics=True)
    g = np.eye(3)
    for step in range(60):
        sigma = run.second_moment.values[step]
        g = (np.eye(3) + sum(mixing[step, m] @ sigma @ forms[step, m] for m in range(2))) @ g
        back = np.linalg.norm(np.linalg.solve(g, run.node.values[step + 1].T), axis=0)
        exact = -np.log(4 * np.pi * abs(np.linalg.det(g)) * back**3)
        assert np.abs(run.node_log_density.values[step + 1] - exact).max() < 1e-8
    assert np.linalg.cond(g @ g.T) > 1e4
    assert run.unresolved.values[-1]


def test_nodes_and_coefficients_give_one_density():
    """Softmax layers while lmax resolves: the nodes' log density is that of the coefficients."""
    start = Density.from_law(QUICK, Sphere(95))
    run = solve(start, homogenized(), n_steps=20, save_every=20, characteristics=True)
    last = run.isel(depth_time=-1)
    coefficients = start.sphere.analysis(last.density.values)
    values = synthesis_at(coefficients, last.node.values)
    assert np.abs(np.exp(last.node_log_density.values) / values - 1).max() < 1e-8
    assert np.ptp(np.log(values)) > 4
    assert np.abs(run.node_log_density.values[0] - np.log(QUICK.pdf(run.node.values[0]))).max() < 1e-14


def test_areas_sum_to_the_sphere():
    """sum_j w_j / rho(x_j) = int dx = 4 pi, whatever the layers do."""
    run = solve(
        Density.from_law(QUICK, Sphere(31), carried=(48, 96)),
        homogenized(),
        n_steps=20,
        save_every=10,
        characteristics=True,
    )
    areas = (run.node_weight * np.exp(-run.node_log_density)).sum("node").values / (4 * np.pi) - 1
    assert np.abs(areas).max() < 1e-7
    assert np.abs(run.area_defect.values - np.abs(areas)).max() < 1e-14
    assert np.ptp(run.node_log_density.values[-1] - run.node_log_density.values[0]) > 0.5


def test_entropy_of_the_angular_gaussian_by_quadrature():
    """-int rho log rho on a grid, exact rho; log 4 pi at the start."""
    rng = np.random.default_rng(3)
    mixing, forms = 0.15 * rng.standard_normal((6, 1, 3, 3)), rng.standard_normal((6, 1, 3, 3))
    start = Density.from_law(Uniform(3), Sphere(31), carried=(48, 96))
    run = solve(start, replace(recorded(mixing, forms), kernel=Linear()), n_steps=6, characteristics=True)
    points, area = dense.gauss_nodes(128, 256)
    g = np.eye(3)
    for step in range(6):
        g = (np.eye(3) + mixing[step, 0] @ run.second_moment.values[step] @ forms[step, 0]) @ g
        rho = angular_gaussian(points, g @ g.T)
        assert abs(run.entropy.values[step + 1] + area @ (rho * np.log(rho))) < 1e-8
    assert abs(run.entropy.values[0] - np.log(4 * np.pi)) < 1e-12
    assert run.entropy.values[-1] < np.log(4 * np.pi) - 0.05


@unresolved
def test_exponents_of_a_run_are_growth_over_depth_time():
    """x' = Cx by linear attention: towards log((1 + c_k)/(1 + c_1)) / dt once all mass is at the first direction."""
    rates = np.diag([0.3, 0.1, -0.1])
    law = recorded(np.broadcast_to(rates, (60, 1, 3, 3)), np.broadcast_to(np.eye(3), (60, 1, 3, 3)))
    start = Density.from_law(Uniform(3), Sphere(15), (24, 48))
    run = solve(start, replace(law, kernel=Linear()), n_steps=60, characteristics=True)
    assert np.isnan(run.lyapunov.values[0]).all()
    assert run.lyapunov.values[-1].tolist() == sorted(run.lyapunov.values[-1], reverse=True)
    depth = run.depth_time.values
    lost = run.entropy.values[0] - run.entropy.values[1:]
    assert np.abs(run.lyapunov.values[1:].sum(axis=1) + lost / depth[1:]).max() < 1e-12  # the sum is mean log J / t


def test_direct_and_spectral_jacobians_agree_to_the_tolerance():
    """Errors of derivatives are at most degree times those of values."""
    rng = np.random.default_rng(0)
    mixing, query, key = rng.standard_normal((3, 6, 3, 3))
    push = AttentionPush(Softmax(2.0), mixing, query * np.linspace(0.1, 1, 6)[:, None, None], key)
    nodes = Density.from_law(QUICK, Sphere(15)).nodes
    points = dense.nrm(rng.standard_normal((200, 3)))
    tangent = np.eye(3) - points[:, :, None] * points[:, None, :]
    exact = DirectField(push, nodes).jacobian(points) @ tangent
    size = np.linalg.norm(push.mixing, ord=2, axis=(1, 2)).sum()
    errors = []
    for tol in (1e-3, 1e-6, 1e-9):
        field = SpectralField(push, nodes, 10**6, tol)
        assert (field.degrees > 0).all()
        errors.append(np.abs(field.jacobian(points) @ tangent - exact).max())
        assert errors[-1] < tol * size * field.degree
    assert errors[0] > 30 * errors[1] > 900 * errors[2]
    for n_targets, least, most in ((1000, 1, 5), (1, 6, 6)):  # some, and all, are summed directly
        some = SpectralField(push, nodes, n_targets, 1e-9)
        assert least <= (some.degrees == 0).sum() <= most
        assert np.abs(some.jacobian(points) @ tangent - exact).max() < 1e-9 * size * field.degree


def test_characteristics_leave_the_density_as_it_is():
    start = Density.from_law(QUICK, Sphere(15))
    plain, more = (
        solve(start, homogenized(), n_steps=6, save_every=3, characteristics=on, passive=np.eye(3))
        for on in (False, True)
    )
    for name in plain.variables:
        assert np.array_equal(plain[name].values, more[name].values), name
    added = set(more.variables) - set(plain.variables)
    assert added == {"node", "node_weight", "node_log_density", "entropy", "area_defect", "lyapunov", "folds"}


@unresolved
@pytest.mark.parametrize("remap_every", [0, 3])
def test_resuming_is_bitwise(remap_every):
    """40 steps equal 17 then 23: nodes and characteristics (direct sums, whose bits do not depend on memory)."""
    density = Density.from_law(QUICK, Sphere(15), carried=(12, 24))
    flow_ = DensityFlow(
        density.sphere, homogenized(2), DirectField, remap_every, characteristics=True
    )  # fmt: skip
    whole = flow_.advance(flow_.start(density), 40)
    half = flow_.advance(flow_.start(density), 17)
    again = flow_.advance(density_state({name: array.copy() for name, array in half.arrays().items()}), 40)
    assert set(whole.arrays()) == set(again.arrays())
    for name in ("node", "node_log_start", "node_frame", "node_growth", "node_folds"):
        one, two = whole.arrays()[name], again.arrays()[name]
        assert one.dtype == two.dtype
        assert np.array_equal(one, two), name
    for name in ("node_log_density", "entropy", "area_defect", "lyapunov", "folds"):
        assert flow_.record(whole)[name].identical(flow_.record(again)[name])
    assert np.abs(whole.characteristics.growth - half.characteristics.growth).max() > 0.01


def test_folds_are_counted_and_told_once():
    """C = -2 sigma^-1 on the first axis: I + C sigma is a reflection in every layer."""
    mixing = np.broadcast_to(np.diag([-6.0, 0, 0]), (3, 1, 3, 3))
    law = recorded(mixing, np.broadcast_to(np.eye(3), mixing.shape))
    start = Density.from_law(Uniform(3), Sphere(15), carried=(12, 24))
    with pytest.warns(RuntimeWarning) as caught:
        run = solve(start, replace(law, kernel=Linear()), n_steps=3, characteristics=True)
    said = [str(one.message) for one in caught if "folds" in str(one.message)]
    assert said == [
        "layer 0 folds the sphere at 288 carried nodes (det DT <= 0): the density there is a sum over branches, "
        "of which node_log_density has one; lower dt"
    ]
    assert run.folds.values.tolist() == [0, 288, 288, 288]
    assert np.abs(run.node_log_density.values + np.log(4 * np.pi)).max() < 1e-10  # reflections keep the uniform law


def test_densities_from_coefficients_have_characteristics():
    first = Density.from_law(QUICK, Sphere(31))
    again = Density.from_coefficients(first.coefficients, Sphere(31))
    assert np.abs(again.node_log_density - np.log(QUICK.pdf(again.nodes.points))).max() < 1e-8


def test_densities_that_have_none_are_refused():
    density = Density.from_tokens(Tokens(np.eye(3)), Sphere(15))
    with pytest.raises(ValueError, match="characteristics must be left out where tokens are the initial density"):
        solve(density, homogenized(), n_steps=1, characteristics=True)


def test_derivatives_that_are_not_finite_stop_the_run():
    class Broken:
        def __call__(self, points):
            return 0 * points

        def jacobian(self, points):
            return np.full((*points.shape, 3), np.nan)

    start = Density.from_law(QUICK, Sphere(15))
    with pytest.raises(SolverError, match="no longer finite"):
        solve(
            start,
            replace(homogenized(), kernel=Softmax(1.0)),
            n_steps=1,
            field=lambda *_: Broken(),
            characteristics=True,
        )


@pytest.mark.parametrize("law", [Ballistic, Modified])
def test_layers_of_several_stages(law):
    """Runge and Kutta by neighbours: the nodes' log density is that of the coefficients."""
    heads = FixedHeads(np.diag([1.0, 0.5, 0.2])[None], np.eye(3)[None], np.diag([1.0, 0.2, 0.6])[None])
    more = () if law is Ballistic else (0.05, 0.0)
    layers = law(heads, Softmax(1.5), 0.1, *more, nodes=1, noise=Noise(0), scheme=RungeKutta4())
    start = Density.from_law(QUICK, Sphere(63))
    run = solve(start, layers, n_steps=6, save_every=6, field=spectral_field(1e-9), characteristics=True)
    last = run.isel(depth_time=-1)
    values = synthesis_at(start.sphere.analysis(last.density.values), last.node.values)
    assert np.abs(last.node_log_density.values - np.log(values)).max() < 1e-6
    assert np.ptp(np.log(values)) > 3
