"""The configuration: every refusal is one line that names the key, nothing is lost in text and back."""

import math
import re
import tomllib
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from particles import ACTIVATIONS, RETRACTIONS, ArgumentError
from particles.attention import KERNELS
from particles.equations import INTERPRETATIONS, STEPPINGS
from particles.files.closure import CLOSED
from particles.heads import ENTRIES, GaussianHeads, usual_deviation
from particles.layers import SCHEMES
from tests.tokenlaw.calls import call
from tokenlaw.config import examples
from tokenlaw.config import rules as config_checks
from tokenlaw.config.layers import Mlp, RandomHeads
from tokenlaw.config.read import (
    ConfigError,
    Configuration,
    changed_keys,
    defaults_text,
    dumps,
    load,
    load_text,
    steps,
)
from tokenlaw.config.told import KEYS, telling
from tokenlaw.config.toml import write_value
from tokenlaw.config.types import kinds_of, models_of
from tokenlaw.config.words import all_keys, names_in
from tokenlaw.runs.build import build
from tokenlaw.runs.equations import INTERACTIONS

VARY = ("--vary", "layers.dt=0.2,0.1,0.05", "--observable", "mean_token")
BASE = """
[model]
d = 3
beta = 2.0
[heads]
kind = "gaussian"
[layers]
kind = "homogenized"
dt = 0.02
t_end = 2.0
[initial]
kind = "von_mises_fisher"
components = [
    {weight = 1.0, mean = [0.0, 0.0, 1.0], kappa = 2.0}, {weight = 0.5, mean = [1.0, 1.0, 0.0], kappa = 3.0},
]
"""
UNIFORM = "initial={kind='uniform'}"
EUCLIDEAN = "model.space=euclidean"
GAUSSIAN = "initial={kind='gaussian', mean=[1,0,0], covariance=[[1,0.1,0],[0.1,1,0],[0,0,0]]}"
MEAN = "heads.mean_v=[[1,0,0],[0,1,0],[0,0,1]]"
TRANSFORMER = 'layers={kind="transformer", eta=0.1, heads=8, depth=20}'
ONE_HEAD = 'layers={kind="transformer", eta=0.1, heads=1, depth=20}'
BALLISTIC = 'layers={kind="ballistic", dt=0.1, t_end=1.0}'
EQUATION = 'layers={kind="equation", dt=0.1, t_end=1.0}'
MODIFIED = 'layers={kind="modified", dt=0.1, t_end=1.0, eta=0.1}'
FIXED = 'heads={kind="fixed", value=[[1,0,0],[0,1,0],[0,0,1]], query=[[1,0,0]], key=[[0,1,0]]}'


def refusal(*overrides, text=BASE):
    with pytest.raises(ConfigError) as caught:
        build(load_text(text, overrides))
    message = str(caught.value)
    assert message == message.strip()
    assert len(message.splitlines()) == 1
    return message


# --- what is refused, and how

EXACT = {
    "solve.lmax=5000": "solve.lmax = 5000: must be an integer between 2 and 1023",
    "solve.lmax=1": "solve.lmax = 1: must be an integer between 2 and 1023",
    "solve.lmx=31": "solve.lmx: unknown key; did you mean solve.lmax?",
    "model.lmax=31": "model.lmax: unknown key; did you mean solve.lmax?",
    "lmax=31": "lmax: unknown key; did you mean solve.lmax?",
    "solv.lmax=31": "solv: unknown section; did you mean solve?",
    "zzz.q=1": "zzz: unknown section; allowed: model, heads, layers, initial, solve, simulate, noise, output",
    "noise.xyzzy=1": "noise.xyzzy: unknown key; allowed: seed, member",
    "model.d='3'": 'model.d = "3": must be a whole number between 2 and 65536',
    "model.d=true": "model.d = true: must be a whole number between 2 and 65536",
    "model.d=3.0": "model.d = 3.0: must be a whole number between 2 and 65536",
    "model.d=1": "model.d = 1: must be a whole number between 2 and 65536",
    "model.beta=-1": "model.beta = -1: must be a finite number at least 0",
    "model.beta=nan": "model.beta = nan: must be a finite number at least 0",
    "model.beta=inf": "model.beta = inf: must be a finite number at least 0",
    "model.beta=false": "model.beta = false: must be a finite number at least 0",
    "model.beta=1979-05-27": "model.beta = 1979-05-27: must be a finite number at least 0",
    "model.attention=hard": 'model.attention = "hard": must be one of softmax, linear, l2, sigmoid, sinkhorn',
    "model.causal=1": "model.causal = 1: must be true or false",
    "model.space=torus": 'model.space = "torus": must be one of sphere, euclidean',
    "layers.retraction=translate": 'layers.retraction = "translate": must be another one with model.space = "sphere"',
    "initial={kind='gaussian', mean=[0,0,0], covariance=[[1,0,0],[0,1,0],[0,0,1]]}":
    'initial.kind = "gaussian": must be another one with model.space = "sphere"',
    "initial={kind='gaussian', mean=[0,0,0]}":
    "initial.covariance: missing; must be a model.d x model.d matrix: a list of rows of numbers",
    "model=3": "model = 3: must be a section [model]",
    "heads.sigma_v=-0.1": "heads.sigma_v = -0.1: must be a finite number at least 0",
    "heads.head_dim=0": "heads.head_dim = 0: must be a whole number at least 1",
    "heads.head_dim=4": "heads.head_dim = 4: must be between 1 and d = 3",
    "heads.mean_v=[[1,2],[3,4]]": "heads.mean_v = [[1.0, 2.0], [3.0, 4.0]]: must have shape (3, 3), got (2, 2)",
    "heads.mean_a=[[1,2,3],[3,4,5]]":
    "heads.mean_a = [[1.0, 2.0, 3.0], [3.0, 4.0, 5.0]]: must have shape (3, 3), got (2, 3)",
    "heads.mean_v=[[1,2],[3]]":
    "heads.mean_v = [[1, 2], [3]]: must be a matrix: a list of rows of numbers, all of the same length",
    "heads.mean_v=[[1,2],[3,'a']]": 'heads.mean_v[1][1] = "a": must be a valid number',
    "heads.mean_v=[1]": "heads.mean_v[0] = 1: must be a valid list",
    "heads.mean_v=1": "heads.mean_v = 1: must be a model.d x model.d matrix: a list of rows of numbers",
    "heads.value=[[1]]": 'heads.value = [[1]]: belongs to heads.kind = "fixed", not to "gaussian"',
    "heads.kind=gauss": 'heads.kind = "gauss": must be one of gaussian, rademacher, uniform, low_rank, fixed, smooth',
    "heads.kind=1": "heads.kind = 1: must be one of gaussian, rademacher, uniform, low_rank, fixed, smooth",
    "heads={value=[[1]]}": 'heads.value = [[1]]: belongs to heads.kind = "fixed", not to "gaussian"',
    "heads=1": "heads = 1: must be a section [heads]",
    "layers.kind=brownian":
    'layers.kind = "brownian": must be one of homogenized, transformer, ballistic, modified, recorded, equation',
    "layers.kind=[1]":
    "layers.kind = [1]: must be one of homogenized, transformer, ballistic, modified, recorded, equation",
    "layers={kind='homogenized', dt=0.1}": "layers.t_end: missing; must be a finite number at least 0",
    "layers.eta=0.1": 'layers.eta = 0.1: belongs to layers.kind = "transformer" or "modified", not to "homogenized"',
    "layers.file=x.nc": 'layers.file = "x.nc": belongs to layers.kind = "recorded", not to "homogenized"',
    "layers.retraction=flat": 'layers.retraction = "flat": must be one of normalize, geodesic, flow, translate',
    "layers.dt=0": "layers.dt = 0: must be a finite number greater than 0",
    "layers.dt=1e-300": "layers.dt = 1e-300: must be so large that layers.t_end takes at most 1000000000 steps",
    "layers.t_end=-1": "layers.t_end = -1: must be a finite number at least 0",
    "layers.t_end=0.01": "layers.t_end = 0.01: must be 0 or at least layers.dt = 0.02",
    "layers.noise_scale=0": "layers.noise_scale = 0: must be a finite number greater than 0",
    "layers.mlp=3": "layers.mlp = 3: must be a section [layers.mlp]",
    "layers.mlp.activation=softplus":
    'layers.mlp.activation = "softplus": must be one of relu, erf, tanh, sigmoid, silu, gelu, linear',
    "layers.mlp.width=-1": "layers.mlp.width = -1: must be a whole number between 0 and 1000000000",
    "layers.mlp.sigma_r=-0.1": "layers.mlp.sigma_r = -0.1: must be a finite number at least 0",
    "layers.mlp.sigma_w=nan": "layers.mlp.sigma_w = nan: must be a finite number at least 0",
    "layers.mlp.sigma=1": "layers.mlp.sigma: unknown key; did you mean layers.mlp.sigma_w?",
    "layers.nodes_fixed=1": "layers.nodes_fixed = 1: must be true or false",
    "initial={kind='tokens'}": "initial.file: missing; must be the name of an existing file",
    "initial={kind='uniform', a=[0,0,0]}":
    'initial.a = [0, 0, 0]: belongs to initial.kind = "conformal", not to "uniform"',
    "initial={kind='conformal', a=[0,0,1]}": "initial.a = [0.0, 0.0, 1.0]: must have a length below 1",
    "initial={kind='conformal', a=[0,0]}": "initial.a = [0.0, 0.0]: must have model.d = 3 entries, not 2",
    "initial={kind='simplex', overlap=1}": "simulate.tokens = 1024: must be at most d = 3 for a simplex",
    "initial={kind='simplex', overlap=0}": "simulate.tokens = 1024: must be at most d = 3 for a simplex",
    "initial.components=[]": "initial.components = []: must be a list of at least one table {weight, mean, kappa}",
    "initial.components=[3]": "initial.components[0] = 3: must be a table",
    "initial.components=[{mean=[0,0,0], kappa=1}]": "initial.components[0].mean = [0, 0, 0]: must be a non-zero vector",
    "initial.components=[{mean=[0,1], kappa=1}]":
    "initial.components[0].mean = [0.0, 1.0]: must have model.d = 3 entries, not 2",
    "initial.components=[{mean=[0,nan,1], kappa=1}]": "initial.components[0].mean[1] = nan: must be a finite number",
    "initial.components=[{mean=[0,0,1], kappa=2e6}]":
    "initial.components[0].kappa = 2000000.0: must be a finite number between 0 and 1000000",
    "initial.components=[{mean=[0,0,1], kappa=1, weight=0}]":
    "initial.components[0].weight = 0: must be a finite number greater than 0",
    "initial.components=[{mean=[0,0,1], kapa=1}]":
    "initial.components[0].kapa: unknown key; did you mean initial.components[0].kappa? (and 1 more)",
    "solve.field_tol=0.2": "solve.field_tol = 0.2: must lie in (0, 0.1]",
    "solve.remap_every=-1": "solve.remap_every = -1: must be a whole number between 0 and 1000000000",
    "solve.carried_nodes=[24,4.5]":
    "solve.carried_nodes = [24, 4.5]: must be [latitudes, longitudes], latitudes at least 2, longitudes "
    'even and at least 4, at most 4000000 nodes in all, or "auto"',
    "solve.on_unresolved=ignore": 'solve.on_unresolved = "ignore": must be one of warn, stop',
    "simulate.tokens=0": "simulate.tokens = 0: must be a whole number between 1 and 1000000000",
    "noise.seed=-1": "noise.seed = -1: must be a whole number at least 0 and below 9223372036854775808",
    "noise.member=9223372036854775808":
    "noise.member = 9223372036854775808: must be a whole number at least 0 and below 9223372036854775808",
    "noise=3": "noise = 3: must be a section [noise]",
    "output.save_every=0": "output.save_every = 0: must be a finite number greater than 0",
    "output.distances=1": "output.distances = 1: must be a whole number between 2 and 1000000000",
    "model.d": '--set "model.d": must be key.path=value, as in solve.lmax=31',
    "model..d=3": '--set "model..d=3": must be key.path=value, as in solve.lmax=31',
    "a." * 3000 + "b=1": f'--set "{"a." * 28}...: nested too deeply',
    "model.d.x=3": "--set model.d.x: model.d is not a section",
    "initial.components.0.kappa=3":
    "--set initial.components.0.kappa: initial.components is a list, which can only be set as a whole",
}  # fmt: skip


@pytest.mark.parametrize(("override", "message"), EXACT.items())
def test_a_refusal_names_key_value_and_what_is_allowed(override, message):
    assert refusal(override) == message


@pytest.mark.parametrize(
    "nodes", ["[24, 47]", "[1, 48]", "[24, 2]", "[24]", "[24, 48, 2]", "3", "[4000, 4000]"]
)
def test_carried_nodes_are_two_sizes_of_a_grid(nodes):
    message = refusal(f"solve.carried_nodes={nodes}")
    assert message.startswith(f"solve.carried_nodes = {nodes}: must be [latitudes, longitudes]")


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ([MEAN, "layers.nodes=1"], "layers.nodes = 1: must be at least 2"),
        (
            [MEAN, "layers.nodes=2", "layers.dt=0.5", "layers.noise_scale=0.1"],
            "layers.dt = 0.5: must be at most nodes * noise_scale = 0.2 when mean_v",
        ),
        ([FIXED], 'heads.kind = "fixed": must be one of gaussian, rademacher, uniform, low_rank with'),
        (["heads.kind=smooth"], 'heads.kind = "smooth": must be one of gaussian, rademacher, uniform, low_rank with'),
        ([MODIFIED, MEAN, "heads.kind=smooth"], 'heads.kind = "smooth": must be one of gaussian, rademacher, '
         'uniform, low_rank, fixed with layers.kind = "modified"'),
        ([BALLISTIC], 'heads.mean_v: missing with layers.kind = "ballistic", where only the mean of V moves'),
        ([MODIFIED], 'heads.mean_v: missing with layers.kind = "modified", where only the mean of V moves'),
        ([MODIFIED, MEAN, "layers.retraction=flow"],
         'layers.retraction = "flow": must be normalize or geodesic, whose'),
        ([MODIFIED, MEAN, "layers.noise_scale=-1"], "layers.noise_scale = -1: must be a finite number at least 0"),
        ([BALLISTIC, FIXED, "heads.key=[[[1,0,0]],[[1,0,9]]]"],
         "heads.key = [[[1.0, 0.0, 0.0]], [[1.0, 0.0, 9.0]]]: must have shape (1, 1, 3), got (2, 1, 3)"),
        ([BALLISTIC, FIXED, "heads.value=[]"], "heads.value = []: must have shape (any, any, any), got (0,)"),
        (["heads.modes=3"], 'heads.modes = 3: belongs to heads.kind = "smooth", not to "gaussian"'),
        ([FIXED, TRANSFORMER], "layers.heads = 8: must be the number of heads that are given, 1"),
        ([FIXED, ONE_HEAD, "heads.key=[[[1,0,0]],[[1,0,9]]]"],
         "heads.key = [[[1.0, 0.0, 0.0]], [[1.0, 0.0, 9.0]]]: must have shape (1, 1, 3), got"),
        ([FIXED, ONE_HEAD, "heads.key=[[[1,0,0]],[[1,0]]]"],
         "heads.key = [[[1.0, 0.0, 0.0]], [[1.0, 0.0]]]: must be an array, all rows of one length"),
        ([FIXED, ONE_HEAD, "heads.key=[]"], "heads.key = []: must have shape (1, 1, 3)"),
        ([FIXED, ONE_HEAD, "heads.key=[[1,0,0],[0,1,0]]"],
         "heads.key = [[[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]]: must have shape (1, 1, 3), got (1, 2, 3)"),
        ([FIXED, ONE_HEAD, "heads.query=[[1],[1],[1],[1]]"],
         "heads.query = [[[1.0], [1.0], [1.0], [1.0]]]: must have shape (1, any, 3), got (1, 4, 1)"),
        ([FIXED, ONE_HEAD, "heads.value=[[1,0,0]]"],
         "heads.value = [[[1.0, 0.0, 0.0]]]: must have shape (heads, d, d) with d >= 2, got (1, 1, 3)"),
        ([TRANSFORMER, "heads={kind='fixed', value=[[1]]}"], "heads.query: missing; fixed"),
        ([TRANSFORMER, "layers.dt=0.1"], 'layers.dt = 0.1: belongs to layers.kind = "homogenized"'),
        ([TRANSFORMER, "layers.depth=1000000000"], "output.save_every = 0.1: must let at most 1000000"),
        ([UNIFORM, "model.d=4", "simulate.field=spectral"], 'simulate.field = "spectral": must'),
        ([UNIFORM, "model.d=4", "simulate.sampling=quadrature"], 'simulate.sampling = "quadrature"'),
        (["simulate.tokens=3", "initial={kind='simplex', overlap=-0.6}"], "initial.overlap = -0.6: must"),
        (["initial={kind='tokens', file='no such.nc'}"], 'initial.file = "no such.nc": must'),
        ([EUCLIDEAN, "layers.retraction=normalize"], 'layers.retraction = "normalize": must be translate with'),
        ([EUCLIDEAN, "simulate.field=spectral"], 'simulate.field = "spectral": must be another method with'),
        ([EUCLIDEAN, "simulate.sampling=quadrature"], 'simulate.sampling = "quadrature": must be another'),
        (["simulate.field=torch", "model.attention=l2"], 'simulate.field = "torch": needs model.attention = "softmax", '
         'not "l2"'),
        (["simulate.precision=single", "model.causal=true"], 'simulate.precision = "single": needs model.attention = '
         '"softmax", not "softmax" with model.causal'),
        (["simulate.precision=single", "simulate.field=spectral"], 'simulate.precision = "single": must be "double"'),
        ([EUCLIDEAN, "layers.norm=pre"], 'layers.norm = "pre": must be "post" with model.space = "euclidean"'),
        ([EUCLIDEAN, "layers.private_noise=0.1"], "layers.private_noise = 0.1: must be 0 with model.space = "),
        ([EUCLIDEAN, "layers.mlp={width=0}"], "layers.mlp.width = 0: must be at least 1 with model.space = "),
        ([EUCLIDEAN, MEAN, "layers={kind='modified', dt=0.1, t_end=1, eta=0.1}"], 'layers.kind = "modified": must be'),
        (["model.attention=sinkhorn", "model.causal=true"], "model.causal = true: a causal mask needs softmax, L2, li"),
        ([EUCLIDEAN, GAUSSIAN, "initial.mean=[0,0]"], "initial.mean = [0.0, 0.0]: must have model.d = 3"),
        ([EUCLIDEAN, "initial={kind='gaussian', mean=[0,0], covariance=[[1,0],[0,1]]}"],
         "initial.mean = [0.0, 0.0]: must have model.d = 3 entries, not 2"),
        ([EUCLIDEAN, GAUSSIAN, "initial.covariance=[[1]]"],
         "initial.covariance = [[1.0]]: must have shape (3, 3), got"),
        (["layers={kind='recorded', file='.'}"], 'layers.file = ".": must be the name of an existing file'),
    ],
)  # fmt: skip
def test_keys_that_contradict_each_other(overrides, message):
    assert refusal(*overrides).startswith(message)


def test_the_same_keys_are_accepted_where_they_fit(tmp_path):
    fixed_nodes = [MEAN, "layers.nodes=1", "layers.nodes_fixed=true"]
    assert load_text(BASE, fixed_nodes).layers.nodes == 1
    assert load_text(BASE, ["layers.nodes=1"]).layers.nodes == 1  # centred values
    assert load_text(BASE, ["layers.t_end=0"]).layers.t_end == 0
    assert (
        load_text(BASE, ["simulate.tokens=3", "initial={kind='simplex', overlap=-0.5}"]).initial.overlap
        == -0.5
    )
    assert load_text(BASE, ["model.beta=2"]).model.beta == 2.0
    assert load_text(BASE, ["heads.head_dim=3"]).heads.head_dim == 3
    assert load_text(BASE, [FIXED, ONE_HEAD]).heads.query == (((1.0, 0.0, 0.0),),)
    assert load_text(BASE, [FIXED, BALLISTIC]).layers.scheme == "rk4"
    assert load_text(BASE, [FIXED, MODIFIED]).layers.noise_scale == 0
    assert load_text(BASE, [MEAN, BALLISTIC, "heads.kind=smooth"]).heads.modes == 4
    assert load_text(BASE, [TRANSFORMER, "heads.kind=smooth"]).heads.mean_v is None


def test_missing_sections_and_several_errors():
    assert refusal(text="") == "model: missing; must be a section [model] (and 2 more)"
    assert refusal("model={d=3, bta=1}") == "model.bta: unknown key; did you mean model.beta?"
    assert refusal("output.distances=1", "noise.seed=-1", "simulate.tokens=0").endswith(" (and 2 more)")


def test_fixed_heads_come_from_a_file_or_from_matrices(tmp_path):
    (tmp_path / "heads.nc").write_text("")
    file = f"heads={{kind='fixed', file='{tmp_path / 'heads.nc'}'}}"
    assert load_text(BASE, [file, TRANSFORMER]).heads.value is None
    assert refusal(file, TRANSFORMER, "heads.key=[[1,0,0]]") == (
        "heads.key = [[[1.0, 0.0, 0.0]]]: given beside heads.file; either the file or the three matrices"
    )


@pytest.mark.parametrize("heads", ["", "[heads]", "[heads]\nhead_dim = 3"])
@pytest.mark.parametrize("layers", [(), (TRANSFORMER,), (BALLISTIC, 'layers.mlp={activation="relu"}')])
def test_heads_are_gaussian_where_they_are_left_out(heads, layers):
    """No section, an empty one, one without its kind: the same law, number by number, as in Python."""
    c = build(load_text(BASE.replace('[heads]\nkind = "gaussian"', heads), [MEAN, *layers])).configuration
    assert c == build(load_text(BASE, [MEAN, *layers])).configuration
    usual = GaussianHeads(3)
    assert (c.heads.kind, c.heads.sigma_v, c.heads.sigma_a, c.heads.head_dim) == (
        "gaussian", usual.sigma_v, usual.sigma_a, usual.head_dim
    )  # fmt: skip


def test_nothing_moves_without_a_mean_of_the_heads_left_out():
    assert refusal(BALLISTIC, text=BASE.replace('[heads]\nkind = "gaussian"', "")).startswith("heads.mean_v: missing")


def test_the_defaults_of_heads_are_those_of_the_objects_and_stand_in_the_text_of_a_run():
    for d in (2, 3, 7, 768):
        c = build(load_text(BASE, [f"model.d={d}", "initial={kind='uniform'}"])).configuration
        assert c.heads.sigma_v == c.heads.sigma_a == usual_deviation(d)
        assert f"sigma_v = {usual_deviation(d)!r}\nsigma_a = {usual_deviation(d)!r}\nhead_dim = {d}\n" in dumps(c)
        assert build(load_text(dumps(c))).configuration == c


def test_recorded_layers_bring_their_heads(tmp_path):
    (tmp_path / "layers.nc").write_text("")
    recorded = f"layers={{kind='recorded', file='{tmp_path / 'layers.nc'}'}}"
    assert refusal(recorded).startswith('heads: not used with layers.kind = "recorded"')
    assert load_text(BASE.replace('[heads]\nkind = "gaussian"', ""), [recorded]).heads is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[model]\nd = 3\nbeta =", "configuration: Invalid value (at end of document)"),
        ("[model", "configuration: Expected ']' at the end of a table declaration (at end of document)"),
        ("[model]\nd = 3\nd = 4\n", "configuration: Cannot overwrite a value (at line 3, column 6)"),
        ("x = " + "[" * 5000, "configuration: nested too deeply"),
    ],
)
def test_syntax_errors_give_line_and_column(text, message):
    assert refusal(text=text) == message


def test_values_too_large_to_show():
    assert refusal("noise.seed=0x" + "f" * 9000).startswith(
        "noise.seed = (a value too long to show): must be"
    )
    assert len(refusal("model.beta=1" + "0" * 400)) < 150
    assert refusal(text="a = 1" + "0" * 5000).startswith("configuration: ")
    assert (
        refusal('model.beta="a\\nb\\u2028"')
        == r'model.beta = "a\nb\U00002028": must be a finite number at least 0'
    )


def test_files_that_cannot_be_read(tmp_path):
    (tmp_path / "binary.toml").write_bytes(b"\xff\xfe\x00")
    for name, reason in [
        ("none.toml", "No such file"), (".", "Is a directory"), ("binary.toml", "UTF-8"), ("a\0b", "null"),
    ]:  # fmt: skip
        with pytest.raises(ConfigError, match=reason) as caught:
            load(f"{tmp_path}/{name}")
        assert len(str(caught.value).splitlines()) == 1
    (tmp_path / "bad.toml").write_text("[model]\nd = = 3\n")
    with pytest.raises(ConfigError, match=r"bad\.toml: Invalid value \(at line 2, column 5\)"):
        load(tmp_path / "bad.toml")


# --- what is accepted


def test_defaults():
    c = build(load_text(BASE)).configuration
    assert (c.heads.sigma_v, c.heads.sigma_a, c.heads.head_dim) == (1 / math.sqrt(3), 1 / math.sqrt(3), 3)
    assert (c.heads.mean_v, c.heads.mean_a) == (None, None)
    assert (c.layers.noise_scale, c.layers.nodes, c.layers.nodes_fixed) == (1.0, 16, False)
    assert (c.solve.lmax, c.solve.field_tol, c.solve.remap_every) == (63, 1e-6, 1)
    assert (c.solve.carried_nodes, c.solve.moment_tol, c.solve.on_unresolved) == ("auto", 1e-6, "warn")
    assert c.simulate.precision == "double"
    assert (c.simulate.tokens, c.simulate.field, c.simulate.sampling, c.simulate.replica) == (
        1024,
        "auto",
        "random",
        0,
    )
    assert (c.noise.seed, c.noise.member, c.output.save_every, c.output.distances) == (0, 0, 0.1, 6)


def test_the_retraction_follows_the_space():
    assert load_text(BASE).layers.retraction == "normalize"
    assert load_text(BASE, [EUCLIDEAN]).layers.retraction == "translate"
    assert load_text(BASE, [EUCLIDEAN, GAUSSIAN]).initial.covariance[0] == (1.0, 0.1, 0.0)


def test_weights_and_means_are_normalised():
    first, second = load_text(BASE).initial.components
    assert (first.weight, second.weight) == pytest.approx((2 / 3, 1 / 3))
    assert second.mean == pytest.approx((math.sqrt(0.5), math.sqrt(0.5), 0.0))
    huge = load_text(BASE, ["initial.components=[{mean=[1e308, 1e308, 0], kappa=0, weight=1e308}]"])
    assert huge.initial.components[0].mean == pytest.approx((math.sqrt(0.5), math.sqrt(0.5), 0.0))
    tiny = load_text(BASE, ["initial.components=[{mean=[0, 0, 1e-320], kappa=0, weight=1e-320}]"])
    assert tiny.initial.components[0].mean == (0.0, 0.0, 1.0)


def test_a_zero_mean_is_no_mean():
    assert load_text(BASE, ["heads.mean_v=[[0,0,0],[0,0,0],[0,0,0]]"]) == load_text(BASE)


def test_overrides(tmp_path):
    (tmp_path / "c.toml").write_text(BASE)
    c = load(
        tmp_path / "c.toml",
        ["solve.lmax=31", "layers.retraction=geodesic", "noise.seed = 5", "solve.lmax=15", "noise.seed=9"],
    )
    assert (c.solve.lmax, c.layers.retraction, c.noise.seed) == (15, "geodesic", 9)
    assert refusal("model.beta=1\nx=3") == r'model.beta = "1\nx=3": must be a finite number at least 0'
    assert refusal("model.attention=softmax\nbeta=3").startswith(
        r'model.attention = "softmax\nbeta=3": must be'
    )


def test_relative_files_count_from_the_configuration(tmp_path, monkeypatch):
    folder = tmp_path / "a"
    folder.mkdir()
    (folder / "tokens.nc").write_text("")
    (folder / "c.toml").write_text(BASE)
    monkeypatch.chdir(tmp_path)
    c = load("a/c.toml", ["initial={kind='tokens', file='tokens.nc'}"])
    assert c.initial.file == str(folder / "tokens.nc")
    text = dumps(c)
    (folder / "tokens.nc").unlink()
    assert load_text(text, check_files=False) == c
    assert "tokens.nc" in refusal(text=text)


def test_immutable():
    with pytest.raises(ValueError, match="frozen"):
        load_text(BASE).solve.lmax = 3


# --- text and back


@pytest.mark.parametrize(
    "overrides",
    [
        [],
        [FIXED, ONE_HEAD],
        [TRANSFORMER],
        [TRANSFORMER, "heads.kind=smooth", "heads.modes=2"],
        [BALLISTIC, MEAN, "layers.scheme=euler"],
        [MODIFIED, FIXED, "layers.noise_scale=0.25"],
        ["heads.mean_v=[[1e-17,0,0],[0,-0.1,0],[0,0,3]]", "noise.seed=9223372036854775807"],
        ["initial={kind='conformal', a=[0.1,0.2,0.3]}", "solve.carried_nodes=[2,4]"],
        ["initial={kind='simplex', overlap=0.3}", "simulate.tokens=2"],
        ["initial={kind='uniform'}", "model.attention=linear"],
        ["model.attention=l2", "model.causal=true"],
        [EUCLIDEAN, GAUSSIAN, "model.attention=sinkhorn"],
        [EUCLIDEAN, TRANSFORMER, "layers.retraction=translate"],
    ],
)
def test_round_trip(overrides):
    c = load_text(BASE, overrides)
    assert load_text(dumps(c)) == c
    assert dumps(load_text(dumps(c))) == dumps(c)


def test_text_holds_every_key_and_value():
    document = tomllib.loads(dumps(build(load_text(BASE)).configuration))
    assert {f"{section}.{key}" for section, table in document.items() for key in table} >= {
        path
        for _, path in all_keys()
        if path.startswith(("model.", "solve.", "simulate.", "noise.", "output."))
    }
    assert (document["solve"]["lmax"], document["heads"]["head_dim"], document["layers"]["nodes"]) == (
        63,
        3,
        16,
    )


def test_round_trip_of_odd_file_names(tmp_path):
    name = tmp_path / 'a "b"\\ \u00e9\n\x7f\u2028.nc'
    name.write_text("")
    c = load_text(BASE, [f"initial={{kind='tokens', file={write_value(str(name))}}}"])
    assert c.initial.file == str(name)
    assert load_text(dumps(c)) == c


finite = st.floats(allow_nan=False, allow_infinity=False)
positive = st.floats(min_value=0, exclude_min=True, allow_infinity=False)
component = st.fixed_dictionaries(
    {
        "weight": st.floats(min_value=1e-100, max_value=1e300),
        "mean": st.lists(finite, min_size=3, max_size=3).filter(any),
        "kappa": st.floats(min_value=0, max_value=1e6),
    }
)


@settings(max_examples=200, deadline=None)
@given(st.lists(component, min_size=1, max_size=4), st.floats(min_value=0, allow_infinity=False), positive)
def test_round_trip_is_exact_for_any_numbers(components, beta, save_every):
    overrides = [f"initial.components={write_value(components)}", f"model.beta={beta!r}", f"output.save_every={save_every!r}"]  # fmt: skip  # noqa: E501
    try:
        c = load_text(BASE, overrides)
    except ConfigError as error:
        assert "do not vanish" in str(error)  # noqa: PT017
        return
    assert load_text(dumps(c)) == c
    assert c.model.beta == beta


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
).filter(lambda value: value is not None and "None" not in repr(value))
any_path = st.sampled_from(sorted({path for _, path in all_keys()})) | st.sampled_from(
    ["x", "solve.x", "layers.mlp"]
)


@settings(max_examples=300, deadline=None)
@given(st.lists(st.tuples(any_path, anything), max_size=3))
def test_any_values_give_a_configuration_or_one_line(assignments):
    try:
        c = load_text(BASE, [f"{path}={write_value(value)}" for path, value in assignments])
    except ConfigError as error:
        assert len(str(error).splitlines()) == 1  # noqa: PT017
        assert len(str(error)) < 400  # noqa: PT017
    else:
        assert load_text(dumps(c)) == c


# --- defaults text


def test_defaults_text_is_toml_and_complete():
    text = defaults_text()
    document = tomllib.loads(text)
    assert list(document) == list(Configuration.model_fields)
    for key, path in all_keys():
        assert key == path or f"{key} =" in text, path
    assert max(map(len, text.splitlines())) <= 170


def test_defaults_text_loads_when_completed():
    text = defaults_text().replace("# d =", "d = 3").replace("# beta =", "beta = 2.0")
    for section, filling in [
        ("heads", 'kind = "gaussian"'),
        ("layers", 'kind = "homogenized"\ndt = 0.02\nt_end = 2.0'),
        ("initial", 'kind = "uniform"'),
    ]:
        text = text.replace(f"[{section}]", f"[{section}]\n{filling}")
    assert load_text(text) == load_text(BASE, ["initial={kind='uniform'}"])


# --- steps and resuming


def test_steps_that_fit_need_no_notes():
    plan = steps(load_text(BASE))
    assert (plan.dt, plan.n_steps, plan.notes) == (0.02, 100, ())
    assert plan.save_steps == tuple(range(0, 101, 5))


def test_steps_are_rounded_and_say_so():
    plan = steps(load_text(BASE, ["layers.dt=0.03", "layers.t_end=1.0", "output.save_every=0.1"]))
    assert plan.n_steps == 33
    assert plan.save_steps == (*range(0, 33, 3), 33)
    assert plan.notes == (
        "layers.t_end = 1.0 is not a whole number of steps of 0.03: the run takes 33 steps and ends at 0.99.",
        "output.save_every = 0.1 is not a whole number of steps of 0.03: states are saved 0.09 apart.",
    )


@pytest.mark.parametrize(
    ("save_every", "save_steps", "notes"),
    [
        (0.2, (0, 2, 4, 5), 0),
        (0.01, (0, 1, 2, 3, 4, 5), 1),
        (99.0, (0, 5), 0),
        (1e-300, (0, 1, 2, 3, 4, 5), 1),
    ],
)
def test_first_and_last_state_are_always_saved(save_every, save_steps, notes):
    plan = steps(load_text(BASE, [TRANSFORMER, "layers.depth=5", f"output.save_every={save_every}"]))
    assert (plan.dt, plan.n_steps, plan.save_steps, len(plan.notes)) == (0.1, 5, save_steps, notes)


def test_no_steps_at_all():
    assert steps(load_text(BASE, ["layers.t_end=0"])).save_steps == (0,)
    assert steps(load_text(BASE, [TRANSFORMER, "layers.depth=0"])).save_steps == (0,)


def test_recorded_layers_count_layers(tmp_path):
    (tmp_path / "layers.nc").write_text("")
    text = BASE.replace('[heads]\nkind = "gaussian"', "")
    c = load_text(
        text, [f"layers={{kind='recorded', file='{tmp_path / 'layers.nc'}'}}", "output.save_every=2"]
    )
    assert steps(c, 5).save_steps == (0, 2, 4, 5)
    assert steps(c, 5).dt == 1.0
    with pytest.raises(TypeError, match="n_recorded"):
        steps(c)
    with pytest.raises(ConfigError, match=r"^output\.save_every = 2\.0: "):
        steps(c, 10**8)


def test_what_may_change_between_a_run_and_its_continuation():
    old = load_text(BASE)
    assert changed_keys(old, load_text(BASE)) == []
    assert (
        changed_keys(old, load_text(BASE, ["layers.t_end=4", "output.save_every=0.2", "output.distances=3"]))
        == []
    )
    assert changed_keys(old, load_text(BASE, ["solve.lmax=31", "noise.seed=1"])) == [
        "solve.lmax",
        "noise.seed",
    ]
    assert changed_keys(old, load_text(BASE, ["heads.sigma_v=1"])) == ["heads.sigma_v"]
    assert "layers.kind" in changed_keys(old, load_text(BASE, [TRANSFORMER]))
    chain = load_text(BASE, [TRANSFORMER])
    assert changed_keys(chain, load_text(BASE, [TRANSFORMER, "layers.depth=40"])) == []
    assert changed_keys(chain, load_text(BASE, [TRANSFORMER, "layers.heads=4"])) == ["layers.heads"]


def test_the_configuration_starts_without_the_numerical_packages():
    import ast

    paths = [path for path in Path(config_checks.__file__).parent.glob("*.py") if path.name != "told.py"]
    assert len(paths) > 5
    for path in paths:
        names = {
            name
            for node in ast.walk(ast.parse(path.read_text()))
            if isinstance(node, ast.Import | ast.ImportFrom)
            for name in (
                [node.module] if isinstance(node, ast.ImportFrom) else [alias.name for alias in node.names]
            )
        }
        assert not {name.split(".")[0] for name in names} & {
            "numpy",
            "xarray",
            "particles",
            "spde",
            "validation",
        }


# --- rules of objects


def test_rules_of_objects_are_told_with_their_keys_before_anything_is_written(tmp_path, capsys):
    """By every command, `tokenlaw config` too: one line with key, value and what is allowed."""
    path, out = tmp_path / "c.toml", tmp_path / "x.nc"
    path.write_text(BASE.replace('kind = "gaussian"', 'kind = "gaussian"\nhead_dim = 4'))
    for words in (("config",), ("simulate", "--out", out), ("solve", "--out", out), ("converge", "--out", out, *VARY)):
        assert call(words[0], path, *words[1:]) == 2
        assert capsys.readouterr().err == "error: heads.head_dim = 4: must be between 1 and d = 3\n"
    path.write_text(BASE)
    assert call("config", path) == 0
    assert load_text(capsys.readouterr().out) == build(load_text(BASE)).configuration
    assert not out.exists()


def test_a_constructor_of_ones_own_is_told_as_far_as_its_arguments_are_keys():
    c = load_text(BASE)
    for error, text in (
        (ArgumentError("nodes", 16, "be even"), "layers.nodes = 16: must be even"),
        (ArgumentError("nu", 0.0, "be 1"), "layers.private_noise = 0.0: must be 1"),
        (ArgumentError("retraction", (2, 3), "have shape (3, 3)"), 'layers.retraction = "normalize": must have shape'),
        (ArgumentError("own", "a", "be b"), 'layers: own must be b, got "a"'),
        (TypeError("no kernel\nat all"), r"layers: no kernel\nat all"),
        (ConfigError("heads: as it is"), "heads: as it is"),
    ):
        with pytest.raises(ConfigError, match=f"^{re.escape(text)}"), telling(c, "layers"):
            raise error


def test_keys_that_other_arguments_stand_for_are_keys():
    assert set(KEYS.values()) - {"layers.mlp.activation", *(f"layers.mlp.{name}" for name in Mlp.model_fields)} <= {
        path for _, path in all_keys()
    }


def test_names_of_choices_stand_in_one_table_each(capsys):
    tables = {
        f"{section}.{key}": names_in(field.json_schema_extra["table"])
        for section, about in Configuration.model_fields.items()
        for model in models_of(about.annotation)
        for key, field in model.model_fields.items()
        if "table" in (field.json_schema_extra or {})
    }
    objects = {
        "model.attention": KERNELS, "layers.retraction": RETRACTIONS, "layers.scheme": SCHEMES,
        "layers.interpretation": INTERPRETATIONS, "layers.stepping": STEPPINGS,
    }  # fmt: skip
    assert tables.keys() == objects.keys()
    assert {path: tuple(table) for path, table in objects.items()} == tables  # which were read without importing them
    assert names_in("tokenlaw.runs.equations:INTERACTIONS") == tuple(INTERACTIONS)
    assert names_in("particles.layers.mlp.kernels:ACTIVATIONS") == tuple(ACTIVATIONS)
    for table in (RETRACTIONS, ACTIVATIONS):
        assert [one.name for one in table.values()] == list(table)
    for path, names in tables.items():
        space = {"layers.scheme": [BALLISTIC, MEAN], "layers.interpretation": [EQUATION], "layers.stepping": [EQUATION]}
        space = space.get(path, [])
        model = BASE.replace('[heads]\nkind = "gaussian"\n', "") if EQUATION in space else BASE
        assert refusal(*space, f"{path}=other", text=model) == f'{path} = "other": must be one of {", ".join(names)}'
    assert list(kinds_of(RandomHeads)) == list(ENTRIES)
    for name, key, table in (("mlp-kernel", "activation", ACTIVATIONS), ("gaussian-closure", "attention", CLOSED)):
        assert call("theory", name, f"{key}=other") == 2
        told = capsys.readouterr().err.partition("must be one of ")[2].split("\n")[0].split(", ")
        assert {word.split()[0].strip(";,.") for word in told} >= set(table)


# --- examples


EXAMPLES = sorted((Path(__file__).parents[3] / "examples").glob("*.toml"))


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_is_printed_as_it_stands(path, capsys):
    assert call("config", "--example", path.stem) == 0
    found = capsys.readouterr().out
    assert found == path.read_text(encoding="utf-8").rstrip("\n") + "\n"
    assert found.startswith("# ")


def test_an_unknown_example_is_refused_with_all_names(capsys):
    assert call("config", "--example", "../pyproject") == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: --example ../pyproject: no example has this name; there are attention_causal, ")
    assert set(line.split("there are ")[1].split(", ")) == {path.stem for path in examples.examples().values()}
    assert "quickstart" in line


@pytest.mark.parametrize("words", [(), ("--defaults", "--example", "circle"), ("--defaults", "c.toml")])
def test_config_prints_one_thing(words, capsys):
    assert call("config", *words) == 2
    assert capsys.readouterr().err == "error: config: give one of --defaults, --example NAME and a CONFIG file\n"


def test_an_installed_toolkit_finds_its_examples_where_the_installer_put_them(tmp_path, monkeypatch):
    site, shared = tmp_path / "lib" / "site-packages", tmp_path / "share" / "tokenlaw" / "examples"
    (site / "tokenlaw-1.dist-info").mkdir(parents=True)
    shared.mkdir(parents=True)
    (shared / "mine.toml").write_text("# mine\n")
    (site / "tokenlaw-1.dist-info" / "METADATA").write_text("Name: tokenlaw\nVersion: 1\n")
    record = "tokenlaw/__init__.py,,\n../../share/tokenlaw/examples/mine.toml,,\n"
    (site / "tokenlaw-1.dist-info" / "RECORD").write_text(record)
    monkeypatch.syspath_prepend(site)
    monkeypatch.setattr(examples, "CHECKOUT", tmp_path / "lib")
    assert list(examples.examples()) == ["mine"]
    assert examples.example("mine") == "# mine\n"
