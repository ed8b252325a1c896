"""Gaussian closures from files."""

import numpy as np
import pytest
import xarray as xr

from particles.files.closure import closure_from_file

A = np.diag([0.4, -1.0])
NUMBERS = {
    "V": (("row", "col"), np.eye(2)),
    "Q": (("row", "col"), A),
    "K": (("row", "col"), np.eye(2)),
    "mean": (("col",), np.array([1.0, -2.0])),
    "covariance": (("col", "col2"), np.diag([1.0, 0.5])),
}


def written(path, change=None, attrs=None, drop=()):
    variables = {name: value for name, value in (NUMBERS | (change or {})).items() if name not in drop}
    xr.Dataset(variables, attrs={"t_end": 0.5} if attrs is None else attrs).to_netcdf(path)
    return path


def test_softmax_has_its_closed_form(tmp_path):
    found = closure_from_file(written(tmp_path / "c.nc"), "softmax")
    left = 1 - 2 * np.diag(A) * [1.0, 0.5] * 0.5
    assert found["blow_up_time"] is None
    assert np.abs(np.array(found["covariance"]) - np.diag([1.0, 0.5] / left)).max() < 1e-9
    assert np.abs(np.array(found["mean"]) - np.array([1.0, -2.0]) * np.exp(0.5) / np.sqrt(left)).max() < 1e-9


def test_blow_up_comes_in_place_of_mean_and_covariance(tmp_path):
    t_end = {"t_end": ((), 2.0), "beta": ((), 2.0)}
    found = closure_from_file(str(written(tmp_path / "c.nc", t_end, {})))
    assert found["blow_up_time"] == pytest.approx(1 / (2 * 2 * 0.4), rel=1e-9)
    assert (found["mean"], found["covariance"]) == (None, None)


def test_several_heads_add_up(tmp_path):
    axes = ("head", "row", "col")
    half = {"V": (axes, np.array([0.25 * np.eye(2), 0.75 * np.eye(2)]))}
    same = {name: (axes, np.array([NUMBERS[name][1]] * 2)) for name in ("Q", "K")}
    one = closure_from_file(written(tmp_path / "one.nc"), "l2")
    two = closure_from_file(written(tmp_path / "two.nc", half | same), "l2")
    assert np.allclose(one["covariance"], two["covariance"], rtol=1e-10)
    assert not np.allclose(one["covariance"], closure_from_file(tmp_path / "one.nc", "sinkhorn")["covariance"])
    assert not np.allclose(one["covariance"], closure_from_file(tmp_path / "one.nc", "linear")["covariance"])


def test_what_is_wrong_is_told_in_one_sentence(tmp_path):
    path = tmp_path / "c.nc"
    cases = [
        ({"drop": ("Q",)}, "variable Q is missing"),
        ({"attrs": {}}, "t_end is missing, as a variable or as an attribute"),
        ({"attrs": {"t_end": "soon"}}, "t_end must be one number, got 'soon'"),
        ({"change": {"t_end": (("two",), [1.0, 2.0])}}, "t_end must be one number"),
        ({"attrs": {"t_end": -1.0}}, "t_end must be positive and finite"),
        ({"attrs": {"t_end": 1.0, "beta": -1.0}}, "beta must be finite and >= 0"),
        ({"change": {"covariance": (("col", "col2"), np.diag([1.0, -1.0]))}}, "no eigenvalue below 0"),
        ({"change": {"mean": (("three",), np.zeros(3))}}, r"covariance must have shape \(3, 3\)"),
        ({"change": {"V": (("row", "three"), np.ones((2, 3)))}}, r"V must have the dimensions \(row, col\)"),
        ({"change": {"V": (("row", "col"), np.array([["a", "b"], ["c", "d"]]))}}, "V must hold real numbers"),
        ({"attrs": {"t_end": 1e4}, "change": {"Q": (("row", "col"), 0 * A)}}, "leaves the range of numbers"),
    ]
    for how, text in cases:
        written(path, **how)
        with pytest.raises(ValueError, match=text) as caught:
            closure_from_file(path)
        assert len(str(caught.value).splitlines()) == 1
        assert str(caught.value).startswith(f"{path}: ")
        path.unlink()
    with pytest.raises(ValueError, match="no such file"):
        closure_from_file(path)
    with pytest.raises(ValueError, match='attention must be one of softmax, linear, l2, sinkhorn, got "sigmoid"'):
        closure_from_file(path, "sigmoid")
