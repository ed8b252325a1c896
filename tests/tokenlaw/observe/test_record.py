"""The file of a real network: its numbers, what is drawn of it, what is said where torch is not there."""

import sys
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from particles.files import read_tokens
from tests.tokenlaw.calls import call
from tests.tokenlaw.observe.made import N, dataset, request, seen
from tokenlaw.contents import held
from tokenlaw.curves import CURVES, OTHERS
from tokenlaw.observe import record
from tokenlaw.observe.numbers import QUANTILES, of_tokens
from tokenlaw.pictures import page, paper
from tokenlaw.pictures.network_panels import network_panels
from tokenlaw.pictures.words import depth_label, findings


def test_numbers_of_tokens_are_their_definitions():
    tokens = np.random.default_rng(1).standard_normal((7, 5)) + 1
    found = of_tokens(tokens)
    length = np.linalg.norm(tokens, axis=1)
    cosines = np.array([tokens[i] @ tokens[j] / (length[i] * length[j]) for i in range(7) for j in range(i)])
    assert found["overlap"] == pytest.approx(cosines.mean(), abs=1e-12)
    assert found["log_gap"] == pytest.approx(np.log(1 - cosines).mean(), abs=1e-12)
    assert found["cosine_quantile"] == pytest.approx(np.quantile(cosines, QUANTILES), abs=1e-12)
    assert found["radius"] == pytest.approx(np.sqrt(np.mean(length**2)), abs=1e-12)
    values = np.linalg.svd(tokens, compute_uv=False)
    assert found["stable_rank"] == pytest.approx((values**2).sum() / values[0] ** 2, abs=1e-12)


@pytest.mark.parametrize("exponent", [-4, -6])
def test_gaps_keep_their_digits_near_one(exponent):
    """Two directions an angle apart: 1 - cos = 2 sin^2(angle/2), to 1e-8 where 1 - cosine has 4 digits left or none."""
    angle = 10.0**exponent
    tokens = np.array([[2.0, 0.0], [3 * np.cos(angle), 3 * np.sin(angle)]])
    assert np.exp(of_tokens(tokens)["log_gap"]) == pytest.approx(2 * np.sin(angle / 2) ** 2, rel=1e-8)


def test_tokens_of_length_zero_count_as_in_the_chain():
    """They have no direction: cosine 0 with any other token."""
    found = of_tokens(np.array([[0.0, 0.0], [1.0, 0.0], [0.6, 0.8]]))
    assert found["overlap"] == pytest.approx((0 + 0 + 0.6) / 3)


# --- the file


def test_a_file_is_a_token_file_of_blocks(tmp_path):
    path, given = tmp_path / "f.nc", seen()
    record.write(dataset(), path)
    with xr.open_dataset(path) as found:
        assert found.tokens.dims == ("depth_time", "token", "component")
        assert np.array_equal(found.depth_time, [0, 1, 2, 3])
        stream = found.tokens.values * found.radius.values[:, :, None]
        assert np.abs(stream - given.tokens).max() < 1e-5  # directions in single precision
        assert found.mean_overlap.values == pytest.approx((found.mean_token.values**2).sum(axis=1))
        assert found.overlap.values == pytest.approx([float(of_tokens(x)["overlap"]) for x in given.tokens])
        for prefix, dim in OTHERS.items():
            for name in CURVES:
                assert found[f"{prefix}_{name}"].dims == ("depth_time", dim)
        assert np.isnan(found.attention_entropy.values[0])
        assert np.isfinite(found.attention_entropy.values[1:]).all()
        assert found.token_id.values.tolist() == list(range(N))
    assert read_tokens(path).points.shape == (N, 12)
    assert call("info", path) == 0


def test_second_moments_that_are_too_large_are_left_out(monkeypatch):
    monkeypatch.setattr(record, "MOST_MOMENTS", 1000)
    told = []
    found = record.token_file(seen(), record.Given({}, np.arange(N)), told.append)
    assert "second_moment" not in found
    assert told == ["second_moment is left out of the file: 4 times 12 x 12 numbers"]


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"ids": None}, "give one of --text"), ({"text": Path("t")}, "give one of --text"),
        ({"ids": None, "pixels": Path("p"), "context": 4}, "--context cuts words, not --pixels"),
    ],
)  # fmt: skip
def test_what_a_network_is_given_is_one_file(changes, text):
    with pytest.raises(ValueError, match=text):
        request(**changes)


# --- drawn together


def test_panels_have_the_given_weights_fresh_networks_and_the_forecast():
    found = {panel.name: panel for panel in network_panels(held(dataset())[0])}
    assert list(found) == ["overlap", "gap", "gradient", "radius", "keys"]
    for panel in found.values():
        assert [one.label for one in panel.series] == ["given weights", "fresh networks", "forecast"]
        assert panel.x_label == "block (number)"
        assert [one.band is not None for one in panel.series] == [False, True, True]
    given, fresh, _ = found["overlap"].series
    assert given.y == pytest.approx([float(of_tokens(x)["overlap"]) for x in seen().tokens])
    each = np.array([[float(of_tokens(x)["overlap"]) for x in seen(1 + k).tokens] for k in range(3)])
    assert fresh.y == pytest.approx(each.mean(axis=0))
    assert fresh.band[1] == pytest.approx(np.quantile(each, 0.95, axis=0))
    gaps = np.array([[float(of_tokens(x)["log_gap"]) for x in seen(1 + k).tokens] for k in range(3)])
    assert found["gap"].series[1].y == pytest.approx(np.exp(gaps.mean(axis=0)))
    radii = [float(of_tokens(x)["radius"]) for x in seen().tokens]
    assert found["radius"].series[0].y == pytest.approx(radii)


@pytest.mark.parametrize(
    ("fresh", "forecast", "labels"),
    [(0, 2, ["given weights", "forecast"]), (0, 0, ["given weights"]), (1, 0, ["given weights", "fresh networks"])],
)
def test_what_is_not_there_is_not_drawn(fresh, forecast, labels):
    found = network_panels(held(dataset(fresh, forecast))[0])
    assert all([one.label for one in panel.series] == labels for panel in found)
    assert all(panel.series[-1].band is None for panel in found if forecast == 0)


@pytest.mark.parametrize("change", [
    lambda d: d, lambda d: d.transpose(), lambda d: d.isel(depth_time=[2, 0]), lambda d: d.isel(depth_time=1),
    lambda d: d.drop_vars(["tokens", "radius", "gradient"]), lambda d: d.where(d.depth_time > 0),
])  # fmt: skip
def test_pictures_and_pages_take_it_after_work_with_xarray(change, tmp_path):
    changed = change(dataset())
    paper.save(paper.plot(changed), tmp_path / "f.png")
    if "tokens" in changed:
        text = page.page(changed, "f.nc")
        assert "fresh networks" in text
    assert depth_label(held(changed)[0]).startswith(("block", "record"))


def test_a_page_says_how_alike_tokens_become():
    found = held(dataset())[0]
    said = [text for text in findings(found) if text.startswith("Behind the last block")]
    last = float(found.overlap[-1])
    assert len(said) == 1
    assert f"have the cosine {last:.3g} on average, fresh networks of the same kind have" in said[0]
    assert "the forecast of random networks has" in said[0]


# --- without torch


def test_without_torch_a_line_says_what_to_install(tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "torch", None)
    (tmp_path / "ids.txt").write_text("1 2 3")
    assert call("observe", tmp_path, "--ids", tmp_path / "ids.txt", "--out", tmp_path / "o.nc") == 2
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 1
    assert said[0].startswith('error: real networks need torch and transformers: pip install "tokenlaw[networks]"')
    assert not (tmp_path / "o.nc").exists()
