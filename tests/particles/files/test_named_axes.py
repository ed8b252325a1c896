"""Input files with the documented dimensions in any order, and with others: the same numbers, or one line."""

import itertools
import re

import numpy as np
import pytest
import xarray as xr

from particles import Tokens
from particles.files.closure import closure_from_file
from particles.files.layers import read_heads, read_layers, read_tokens
from spde.files.evaluate import on_grid
from spde.files.read import read_density

RNG = np.random.default_rng(1)
L, M, D, N = 3, 3, 3, 5  # equal, so that no shape tells one axis from another
C, A, B = (RNG.standard_normal((L, M, D, D)) for _ in range(3))
AXES, FACTORS = ("layer", "head", "row", "col"), ("layer", "head", "head_row", "col")
FULL = xr.Dataset({"mixing": (AXES, C), "query_key": (AXES, A)}, attrs={"beta": 1.5})
FACTORED = xr.Dataset({"mixing": (AXES, C), "query": (FACTORS, A), "key": (FACTORS, B)}, attrs={"beta": 1.5})
HEADS = xr.Dataset({"value": (AXES[1:], C[0]), "query": (FACTORS[1:], A[0]), "key": (FACTORS[1:], B[0])})
X = np.linalg.qr(RNG.standard_normal((D, D)))[0]  # rows and columns are unit vectors
TOKENS = xr.Dataset({"tokens": (("token", "component"), X), "weight": ("token", [1.0, 2.0, 5.0])})


def arrays(law):
    """All arrays of what a reader gives."""
    return [value for _, value in sorted(vars(law).items()) if isinstance(value, np.ndarray)]


def assert_equal(a, b):
    assert len(arrays(a)) == len(arrays(b)) > 0
    for one, other in zip(arrays(a), arrays(b), strict=True):
        assert np.array_equal(one, other)


def saved(dataset, path, **more):
    dataset.to_netcdf(path, **more)
    return path


@pytest.mark.parametrize("dataset", [FULL, FACTORED], ids=["query_key", "query and key"])
def test_layers_in_any_order_are_the_same_layers(dataset, tmp_path):
    law = read_layers(saved(dataset, tmp_path / "a.nc"))
    assert np.array_equal(law.mixing, C)
    assert np.array_equal(law.query, A)
    orders = list(itertools.permutations(range(4)))
    for order in orders[1::5]:
        turned = xr.Dataset({name: one.transpose(*(one.dims[k] for k in order)) for name, one in dataset.items()},
                            attrs=dataset.attrs)  # fmt: skip
        assert_equal(law, read_layers(saved(turned, tmp_path / "b.nc")))


def test_heads_in_any_order_are_the_same_heads(tmp_path):
    heads = read_heads(saved(HEADS, tmp_path / "a.nc"))
    for order in itertools.permutations(range(3)):
        turned = xr.Dataset({name: one.transpose(*(one.dims[k] for k in order)) for name, one in HEADS.items()})
        assert_equal(heads, read_heads(saved(turned, tmp_path / "b.nc")))


@pytest.mark.parametrize("form", ["NETCDF4", "NETCDF3_CLASSIC", "NETCDF3_64BIT"])
def test_tokens_in_any_order_are_the_same_tokens(form, tmp_path):
    tokens = Tokens(X, [1.0, 2.0, 5.0])
    assert_equal(tokens, read_tokens(saved(TOKENS, tmp_path / "a.nc", format=form)))
    assert_equal(tokens, read_tokens(saved(TOKENS.transpose(), tmp_path / "b.nc", format=form)))
    batch = TOKENS.expand_dims(batch=1).transpose("component", "batch", "token")
    assert_equal(tokens, read_tokens(saved(batch, tmp_path / "c.nc", format=form)))


def test_the_last_record_is_that_of_the_largest_depth(tmp_path):
    records = xr.concat([TOKENS.tokens, TOKENS.tokens[::-1]], "depth_time").assign_coords(depth_time=[0.0, 1.0])
    backwards = records.to_dataset(name="tokens").sortby("depth_time", ascending=False)
    for dataset in (records.to_dataset(name="tokens"), backwards, backwards.transpose()):
        assert np.array_equal(read_tokens(saved(dataset, tmp_path / "t.nc")).points, Tokens(X[::-1]).points)
    with pytest.raises(ValueError, match=r"t\.nc: tokens must have at least one record, got none"):
        read_tokens(saved(backwards.isel(depth_time=[]), tmp_path / "t.nc"))


def test_a_density_in_any_order_is_the_same_density(tmp_path):
    """Sorting by the labels of `part` brings the imaginary parts first."""
    pairs = np.array([(degree, order) for degree in range(4) for order in range(degree + 1)])
    values = 0.01 * RNG.standard_normal((2, len(pairs), 2))
    values[:, pairs[:, 1] == 0, 1] = 0.0
    values[:, 0, 0] = (4 * np.pi) ** -0.5
    run = xr.Dataset(
        {"coefficients": (("depth_time", "mode", "part"), values)},
        {"sh_degree": ("mode", pairs[:, 0]), "sh_order": ("mode", pairs[:, 1]), "part": ["real", "imag"],
         "depth_time": [0.0, 1.0]},
    )  # fmt: skip
    law = read_density(saved(run, tmp_path / "a.nc"))
    turned = run.transpose("part", "mode", "depth_time").isel(mode=RNG.permutation(len(pairs)))
    places = np.array([-30.0, 70.0]), np.array([0.0, 100.0])
    there = on_grid(run, *places).transpose("depth_time", "lat", "lon")
    for one in (turned, turned.sortby("part")):
        assert np.abs(on_grid(one, *places).transpose("depth_time", "lat", "lon") - there).max() < 1e-15
    for one in (turned, turned.sortby("part"), turned.sortby("depth_time", ascending=False)):
        assert np.array_equal(law.coefficients, read_density(saved(one, tmp_path / "b.nc")).coefficients)
    unlabelled = run.drop_vars("part")
    assert np.array_equal(law.coefficients, read_density(saved(unlabelled, tmp_path / "b.nc")).coefficients)
    for one, told in (
        (run.assign_coords(part=["real", "real"]), 'part must be "real", "imag", got real, real'),
        (run.rename(mode="number"), "coefficients must have the dimensions (mode, part)"),
        (run.isel(part=[0]), "must have the dimensions (mode, part = 2), got (mode = 10, part = 1)"),
        (unlabelled.isel(part=[0]), "must have the dimensions (mode, part = 2), got (mode = 10, part = 1)"),
        (unlabelled.rename(part="component"), "(mode, part = 2), got (mode = 10, component = 2)"),
    ):
        with pytest.raises(ValueError, match=re.escape(told)):
            read_density(saved(one, tmp_path / "c.nc"))


def test_a_closure_goes_by_names_where_it_has_them(tmp_path):
    mean, covariance = ("component", [0.1, -0.2]), (("component", "component2"), np.diag([0.2, 0.1]))
    matrices = {"V": (("row", "col"), [[0.1, 0.3], [-0.2, 0.2]]), "Q": (("head_row", "col"), [[0.5, 0.4]]),
                "K": (("head_row", "col"), [[0.3, -0.6]])}  # fmt: skip
    given = xr.Dataset(matrices | {"mean": mean, "covariance": covariance}, attrs={"t_end": 0.5})
    found = closure_from_file(saved(given, tmp_path / "a.nc"))
    several = given.assign({name: given[name].expand_dims(head=1) for name in "VQK"})
    names = {"head_row": "row2", "row": "a", "col": "b"}
    for one in (given.transpose(), several.transpose(), given.rename(names), given.rename(head_row="row", row="row_")):
        if "row_" in one.dims:
            one = one.rename(row_="row2").assign(V=one.V.rename(row_="row1", col="col1"))
        assert closure_from_file(saved(one, tmp_path / "b.nc")) == found
    mixed = given.assign(V=given.V.rename(row="a"))
    with pytest.raises(ValueError, match=r"V must have the dimensions \(row, col\), got \(a = 2, col = 2\)"):
        closure_from_file(saved(mixed, tmp_path / "c.nc"))


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda t: t.rename(tokens="embeddings"), "variable tokens is missing; has embeddings, weight"),
        (lambda t: t.rename(token="sample"), "tokens must have the dimensions (token, component), got (sample = 3, co"),
        (lambda t: t.expand_dims(time=[0, 1]), "tokens must have the dimensions (token, component), got (time = 2, "),
        (lambda t: t.drop_vars("tokens").assign(tokens=t.tokens[0]), "(token, component), got (component = 3)"),
        (lambda t: t.assign(weight=("n", t.weight.values)), "weight must have the dimensions (token), got (n = 3)"),
        (lambda t: t.assign(weight=("token", [1.0, 0.0, 1.0])), "got 0 for token 1; leave tokens of weight 0 out"),
        (lambda t: t.assign(tokens=7 * t.tokens), "has length 7; divide each by its length"),
        (lambda t: t.assign(tokens=t.tokens.where(t.token != 1)), "tokens must be finite, got nan"),
        (lambda t: t.assign(tokens=t.tokens.astype(str)), "tokens must hold real numbers, got"),
    ],
)
def test_what_is_wrong_with_tokens_is_named(change, told, tmp_path):
    with pytest.raises(ValueError, match=re.escape(told)) as caught:
        read_tokens(saved(change(TOKENS.assign_coords(token=[0, 1, 2])), tmp_path / "t.nc"))
    assert str(caught.value).startswith(f"{tmp_path / 't.nc'}: ")
    assert "\n" not in str(caught.value)


def test_other_dimensions_of_layers_and_heads_are_named(tmp_path):
    for dataset, read, told in (
        (FULL.rename(row="i"), read_layers, "mixing must have the dimensions (layer, head, row, col), got (layer"),
        (FACTORED.rename(head_row="k"), read_layers, "query must have the dimensions (layer, head, head_row, col)"),
        (FULL.isel(layer=0), read_layers, "got (head = 3, row = 3, col = 3)"),
        (HEADS.expand_dims(layer=2), read_heads, "value must have the dimensions (head, row, col), got (layer = 2, "),
    ):
        with pytest.raises(ValueError, match=re.escape(told)):
            read(saved(dataset, tmp_path / "l.nc"))


def test_a_numpy_file_is_called_so(tmp_path):
    np.save(tmp_path / "t.npy", X)
    with pytest.raises(ValueError, match=r"not a readable NetCDF file .* it is a NumPy array: write it as NetCDF"):
        read_tokens(tmp_path / "t.npy")
