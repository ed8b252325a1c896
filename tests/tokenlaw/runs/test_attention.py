"""Attention variants and tokens in R^d through the command line, and the examples that show them."""

import re
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from scipy.integrate import solve_ivp

from particles import (
    L2,
    Causal,
    Cloud,
    DirectField,
    EuclideanTokens,
    Gaussian,
    GaussianClosure,
    Linear,
    RandomTransformer,
    Sigmoid,
    Sinkhorn,
    Softmax,
    Tokens,
    translate,
)
from tests.tokenlaw.calls import HOMOGENIZED, TRANSFORMER, call
from tokenlaw.config.read import load_text
from tokenlaw.pictures import paper as plots
from tokenlaw.runs.build import build

EXAMPLES = Path(__file__).parents[3] / "examples"
EUCLIDEAN = """
[model]
d = 2
beta = 1.0
space = "euclidean"
[heads]
kind = "gaussian"
[layers]
kind = "transformer"
eta = 0.1
heads = 2
depth = 6
[initial]
kind = "gaussian"
mean = [1.0, -1.0]
covariance = [[1.0, 0.2], [0.2, 0.5]]
[simulate]
tokens = 40
[output]
save_every = 0.2
"""


def written(tmp_path, text):
    path = tmp_path / "c.toml"
    path.write_text(text)
    return path


# --- from the configuration to the objects


@pytest.mark.parametrize(
    ("name", "kernel"),
    [
        ("softmax", Softmax(2.0)),
        ("linear", Linear(2.0)),
        ("l2", L2(2.0)),
        ("sigmoid", Sigmoid(2.0)),
        ("sinkhorn", Sinkhorn(2.0)),
    ],
)
def test_names_choose_kernels(name, kernel):
    experiment = build(load_text(TRANSFORMER, [f"model.attention={name}"]))
    assert experiment.law.kernel == kernel
    assert (experiment.token_field() is DirectField) == (name not in ("softmax", "l2"))
    if name != "sinkhorn":
        masked = build(load_text(TRANSFORMER, [f"model.attention={name}", "model.causal=true"]))
        assert masked.law.kernel == Causal(kernel)
        assert masked.token_field() is DirectField


def test_space_chooses_tokens_and_retraction():
    sphere, flat = build(load_text(TRANSFORMER)), build(load_text(EUCLIDEAN))
    assert isinstance(sphere.tokens()[0], Tokens)
    tokens, notes = flat.tokens()
    assert isinstance(tokens, EuclideanTokens)
    assert notes == ()
    assert flat.law.layer(0)[0].retraction is translate
    assert flat.token_field() is DirectField
    law = Gaussian([1.0, -1.0], [[1.0, 0.2], [0.2, 0.5]])
    rng = flat.noise.generator(3, 0, 0)  # the stream of tokens
    assert np.array_equal(tokens.points, law.sample(rng, 40))


def test_three_dimensional_tokens_in_space_get_no_field_of_the_sphere():
    c = load_text(TRANSFORMER, ["model.space=euclidean"])
    assert build(c).token_field() is DirectField


# --- runs


def test_a_causal_run_is_what_its_layers_say(tmp_path):
    config = written(tmp_path, TRANSFORMER)
    assert call("simulate", config, "--out", tmp_path / "t.nc", "--quiet", model__causal="true") == 0
    with xr.open_dataset(tmp_path / "t.nc") as run:
        points, weights = run["tokens"].values, run["weight"].values
    law = build(load_text(TRANSFORMER)).law
    assert isinstance(law, RandomTransformer)
    x = points[0]
    for step in range(6):
        push = law.layer(step)[0]
        moved = np.empty_like(x)
        for i in range(len(x)):  # token i and those before it are a measure of their own
            part = Cloud(x[: i + 1], weights[: i + 1])
            moved[i] = x[i] + DirectField(push, part)(x[i : i + 1])[0]
        x = moved / np.linalg.norm(moved, axis=1)[:, None]
    assert np.abs(points[-1] - x).max() < 1e-12


def test_a_run_in_space_resumes_to_the_bit(tmp_path):
    config = written(tmp_path, EUCLIDEAN)
    for attention in ("softmax", "sinkhorn"):
        whole, parts = tmp_path / f"{attention}.nc", tmp_path / f"{attention}2.nc"
        settings = {"model__attention": attention}
        assert call("simulate", config, "--out", whole, "--quiet", **settings) == 0
        assert call("simulate", config, "--out", parts, "--quiet", **settings, layers__depth=4) == 0
        assert call("simulate", config, "--out", parts, "--quiet", "--resume", **settings) == 0
        with xr.open_dataset(whole) as one, xr.open_dataset(parts) as other:
            assert np.array_equal(one["tokens"].values, other["tokens"].values)
            assert np.abs(np.linalg.norm(one["tokens"].values[-1], axis=1) - 1).max() > 0.1


def test_tokens_in_space_come_from_a_file(tmp_path):
    points = np.array([[3.0, 0.0], [0.0, -2.0], [1.0, 1.0]])
    xr.Dataset({"tokens": (("token", "component"), points)}).to_netcdf(tmp_path / "tokens.nc")
    config = written(tmp_path, EUCLIDEAN)
    given = f"{{kind = 'tokens', file = '{tmp_path / 'tokens.nc'}'}}"
    assert call("simulate", config, "--out", tmp_path / "t.nc", "--quiet", initial=given) == 0
    with xr.open_dataset(tmp_path / "t.nc") as run:
        assert np.array_equal(run["tokens"].values[0], points)


def test_the_ballistic_limit_in_space_is_the_differential_equation(tmp_path):
    """Linear attention of one head: tokens follow x' = V S A x, S their second moment, by scipy's integrator."""
    fixed = "{kind='fixed', value=[[0.3,0.2],[-0.2,0.1]], query=[[0.5,0.0],[0.2,-0.4]], key=[[1.0,0.0],[0.0,1.0]]}"
    layers = "{kind='ballistic', dt=0.1, t_end=1.0}"
    settings = {"heads": fixed, "layers": layers, "model__attention": "linear", "output__save_every": 1.0}
    config = written(tmp_path, EUCLIDEAN)
    assert call("simulate", config, "--out", tmp_path / "t.nc", "--quiet", **settings) == 0
    with xr.open_dataset(tmp_path / "t.nc") as run:
        first, last = run["tokens"].values
    matrix, form = np.array([[0.3, 0.2], [-0.2, 0.1]]), np.array([[0.5, 0.0], [0.2, -0.4]])

    def velocity(_, flat):
        x = flat.reshape(first.shape)
        return (x @ (matrix @ (x.T @ x / len(x)) @ form).T).ravel()

    want = solve_ivp(velocity, (0, 1), first.ravel(), rtol=1e-10, atol=1e-12).y[:, -1].reshape(first.shape)
    assert np.abs(last - want).max() < 1e-5
    assert np.abs(last - first).max() > 0.3
    euler = layers.replace("1.0}", "1.0, scheme='euler'}")
    assert call("simulate", config, "--out", tmp_path / "e.nc", "--quiet", **(settings | {"layers": euler})) == 0
    with xr.open_dataset(tmp_path / "e.nc") as run:
        assert 1e-4 < np.abs(run["tokens"].values[-1] - want).max() < 0.3


def test_an_mlp_block_in_space_adds_its_field(tmp_path):
    """With beta = 0 and V = 0 only the block moves: x + sqrt(dt) g(x), never brought back to the sphere."""
    config = written(tmp_path, EUCLIDEAN)
    settings = {"layers__mlp": "{width=8, activation='linear', sigma_w=0.1}", "heads__sigma_v": 0, "layers__depth": 1}
    assert call("simulate", config, "--out", tmp_path / "t.nc", "--quiet", **settings) == 0
    with xr.open_dataset(tmp_path / "t.nc") as run:
        first, last = run["tokens"].values[[0, -1]]
    ones = np.column_stack([first, np.ones(len(first))])  # a linear block is an affine map
    affine = np.linalg.lstsq(ones, last - first, rcond=None)[0]
    assert np.abs(ones @ affine - (last - first)).max() < 1e-13
    assert np.abs(affine[:2]).max() > 0.01


def test_a_picture_of_tokens_in_space_has_no_spheres(tmp_path):
    config = written(tmp_path, TRANSFORMER)  # d = 3, starts on the sphere and leaves it
    assert call("simulate", config, "--out", tmp_path / "t.nc", "--quiet", model__space="euclidean") == 0
    with xr.open_dataset(tmp_path / "t.nc") as run:
        figure = plots.plot(run)
        on_sphere = plots.plot(run.isel(depth_time=slice(0, 1)))
    assert len(figure.axes) == 3
    assert len(on_sphere.axes) == 4


# --- what stops or is refused


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"model__attention": "sigmoid"}, 'model.attention = "sigmoid": must be softmax or linear or l2 for densities'),
        ({"model__attention": "sinkhorn"}, 'model.attention = "sinkhorn": must be softmax or linear or l2 for'),
        ({"model__causal": "true"}, "model.causal = true: must be false for densities, whose points have no order"),
        ({"model__space": "euclidean"}, 'model.space = "euclidean": densities live on the sphere'),
    ],
)
@pytest.mark.parametrize("command", ["solve", "compare"])
def test_densities_refuse_what_needs_tokens(tmp_path, capsys, command, settings, message):
    config = written(tmp_path, HOMOGENIZED)
    assert call(command, config, "--out", tmp_path / "d.nc", **settings) == 2
    told = capsys.readouterr().err.strip()
    assert told.startswith(f"error: {message}")
    assert told.endswith("tokenlaw simulate takes it")
    assert len(told.splitlines()) == 1
    assert not (tmp_path / "d.nc").exists()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"initial__covariance": "[[1.0, 2.0], [2.0, 1.0]]"}, "initial.covariance = [[1.0, 2.0], [2.0, 1.0]]: must"),
        ({"initial__covariance": "[[1.0, 0.3], [0.2, 1.0]]"}, "initial.covariance = [[1.0, 0.3], [0.2, 1.0]]: must be"),
    ],
)
def test_bad_gaussians_are_refused(tmp_path, capsys, settings, message):
    assert call("simulate", written(tmp_path, EUCLIDEAN), "--out", tmp_path / "t.nc", **settings) == 2
    assert capsys.readouterr().err.startswith(f"error: {message}")


@pytest.mark.parametrize("attention", ["sigmoid", "linear", "sinkhorn"])
def test_only_softmax_and_l2_have_a_spectral_field(tmp_path, capsys, attention):
    config = written(tmp_path, TRANSFORMER)
    settings = {"simulate__field": "spectral", "model__attention": attention}
    assert call("simulate", config, "--out", tmp_path / "t.nc", **settings) == 2
    told = capsys.readouterr().err
    assert told.startswith(f'error: simulate.field = "spectral": needs softmax or l2 attention, got {attention}')
    assert call("simulate", config, "--out", tmp_path / "t.nc", simulate__field="spectral", model__causal="true") == 2
    assert "got causal softmax" in capsys.readouterr().err


@pytest.mark.parametrize("beta", [100, 1.7e308])
def test_tokens_that_leave_the_range_of_numbers_stop_the_run(tmp_path, capsys, beta):
    """Linear attention blows up: the last finite state is on disk, one line says so and nothing else."""
    config = written(tmp_path, EUCLIDEAN)
    settings = {"model__attention": "linear", "model__beta": beta, "layers__depth": 60}
    assert call("simulate", config, "--out", tmp_path / "t.nc", "--quiet", **settings) == 3
    told = capsys.readouterr().err.strip()
    assert told.startswith("stopped: the tokens are no longer finite (step ")
    assert len(told.splitlines()) == 1
    with xr.open_dataset(tmp_path / "t.nc") as run:
        assert np.isfinite(run["tokens"].values).all()


def test_kernels_that_cannot_be_scaled_stop_the_run(tmp_path, capsys):
    config = written(tmp_path, EUCLIDEAN)
    settings = {"model__attention": "sinkhorn", "model__beta": 1e6}
    assert call("simulate", config, "--out", tmp_path / "t.nc", "--quiet", **settings) == 3
    told = capsys.readouterr().err.strip()
    assert re.fullmatch(r"stopped: Sinkhorn attention at beta = 1e\+06 has marginals off by .* \(step 0, .*\)", told)


# --- examples


def example(name, tmp_path, **settings):
    """Run an example with the command its first lines give."""
    path = EXAMPLES / f"{name}.toml"
    command = re.search(r"^#     tokenlaw (\w+) +examples/(\w+)\.toml", path.read_text(), re.MULTILINE)
    assert command is not None
    assert command[2] == name
    assert call(command[1], path, "--out", tmp_path / "run.nc", "--quiet", **settings) == 0
    return xr.load_dataset(tmp_path / "run.nc")


@pytest.mark.parametrize("name", sorted(path.stem for path in EXAMPLES.glob("attention_*.toml")))
def test_examples_run(name, tmp_path):
    run = example(name, tmp_path)
    assert f'attention = "{name.partition("_")[2]}"'.replace("causal", "softmax") in run.attrs["configuration"]
    moments = np.array([run["mean_overlap"].values, np.trace(run["second_moment"].values, axis1=1, axis2=2)])
    assert np.abs(moments[1] - 1).max() < 1e-12
    assert np.abs(np.diff(moments[0])).max() > 1e-4 or name == "attention_linear"  # even laws stay even
    if "unresolved" in run:
        assert not run["unresolved"].values.any()
    if "coupled_rms" in run:
        assert 0 < run["coupled_rms"].values[-1] < 0.1


def test_gaussian_tokens_follow_their_closure(tmp_path):
    """The example's mean and covariance against the layers of infinitely many tokens; errors from replicas."""
    replicas, found = 10, []
    for replica in range(replicas):
        run = example("gaussian_tokens", tmp_path, simulate__tokens=800, simulate__replica=replica)
        mean = run["mean_token"].values
        covariance = run["second_moment"].values - np.einsum("ti,tj->tij", mean, mean)
        found.append(np.concatenate([mean, covariance.reshape(-1, 4)], axis=1)[1:])
    c = load_text(run.attrs["configuration"])
    heads = [np.array(matrices) for matrices in (c.heads.value, c.heads.query, c.heads.key)]
    laws = {}
    for scale in (1.0, 2**0.5):  # the second is wrong and must be seen
        closure = GaussianClosure(Softmax(c.model.beta), scale * heads[0], *heads[1:])
        law, after = Gaussian(c.initial.mean, c.initial.covariance), {}
        for step in range(1, c.layers.depth + 1):
            law = after[step] = closure.layer(law, c.layers.eta)
        steps = run["step"].values[1:].tolist()
        laws[scale] = np.array([[*after[k].mean, *after[k].covariance.ravel()] for k in steps])
    error = np.std(found, axis=0, ddof=1) / np.sqrt(replicas)
    assert np.abs((np.mean(found, axis=0) - laws[1.0]) / error).max() < 4
    assert np.abs((np.mean(found, axis=0) - laws[2**0.5]) / error).max() > 12


def test_the_example_of_the_documentation_is_right(capsys):
    text = (EXAMPLES.parent / "docs" / "attention.md").read_text(encoding="utf-8")
    exec(re.findall(r"^```python\n(.*?)^```", text, re.MULTILINE | re.DOTALL)[0], {})
    numbers = [float(x) for x in re.findall(r"\d+\.\d*", capsys.readouterr().out)]
    assert numbers == pytest.approx([1.0, 2.0, 0.5], rel=1e-9)
