"""Every density command on the circle: files, initial laws, resumed runs, pictures, refusals, the example."""

from pathlib import Path

import matplotlib as mpl
import numpy as np
import pytest
import xarray as xr
from matplotlib.collections import LineCollection
from matplotlib.text import Text

from particles import DirectField, Tokens
from spde import CircleField
from tests.tokenlaw.calls import HOMOGENIZED, assert_same, call, tokens_file
from tokenlaw.config.read import load_text
from tokenlaw.pictures.paper import plot
from tokenlaw.runs.build import build

CIRCLE = HOMOGENIZED.replace("d = 3", "d = 2").replace("[0.0, 0.0, 1.0]", "[0, 1.0]").replace("lmax = 12", "lmax = 40")
EXAMPLE = Path(__file__).parents[3] / "examples" / "circle.toml"


@pytest.fixture(autouse=True)
def _folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "c.toml").write_text(CIRCLE)
    (tmp_path / "s.toml").write_text(HOMOGENIZED)


@pytest.fixture(scope="module")
def example(tmp_path_factory):
    """The file of the example, made by its own command."""
    out = tmp_path_factory.mktemp("example") / "circle.nc"
    assert call("compare", EXAMPLE, "--out", out, "--quiet") == 0
    return out


def test_the_example_runs_and_certifies_itself(example):
    with xr.open_dataset(example) as run:
        assert run.density.dims == ("depth_time", "lon")
        assert run.sizes["depth_time"] == 21
        assert run.attrs["title"] == "conditional token law, and tokens on the same layers, on S^1"
        assert run.moment_defect.values.max() < 1e-6
        assert run.unresolved.values.sum() == 0
        assert np.abs(run.mass.values - 1).max() < 1e-12
        step = 2 * np.pi / run.sizes["lon"]
        angle = np.radians(run.lon.values)
        mean = step * run.density.values @ np.stack([np.cos(angle), np.sin(angle)], axis=1)
        assert np.abs(mean - run.mean_token.values).max() < 1e-6
        k, pair = run.sh_degree.values, run.coefficients.values[-1]
        waves = np.cos(np.outer(angle, k)) @ (pair[:, 0] * (2 - (k == 0))) - 2 * np.sin(np.outer(angle, k)) @ pair[:, 1]
        assert np.abs(waves / np.sqrt(2 * np.pi) - run.density.values[-1]).max() < 1e-11
        assert run.coupled_rms.values[0] == 0
        assert 0 < run.coupled_rms.values[-1] < run.w2_chordal.values[-1] < 3 * run.w2_floor.values[-1]


def test_info_and_plot(example, capsys):
    assert call("info", example) == 0
    text = capsys.readouterr().out
    assert "lon 768" in text
    assert "density resolved at every record" in text
    assert call("plot", example, "--out", "p.png") == 0
    assert Path("p.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("command", ["solve", "compare"])
@pytest.mark.parametrize("remap_every", [1, 3])
def test_17_and_23_steps_are_40(command, remap_every):
    settings = {"solve__remap_every": remap_every, "output__save_every": 0.1, "output__distances": 100}
    assert call(command, "c.toml", "--out", "two.nc", "-q", layers__t_end=0.34, **settings) == 0
    assert call(command, "c.toml", "--out", "two.nc", "-q", "--resume", layers__t_end=0.8, **settings) == 0
    assert call(command, "c.toml", "--out", "one.nc", "-q", layers__t_end=0.8, **settings) == 0
    assert_same("one.nc", "two.nc")


@pytest.mark.parametrize(
    "initial",
    ["kind='uniform'", "kind='conformal',a=[0.3,0.2]", "kind='tokens',file='t.nc'", "kind='density',file='d.nc'"],
)
@pytest.mark.filterwarnings("ignore:the pointwise density is not resolved")
def test_initial_laws(initial):
    points = tokens_file("t.nc", n=7, d=2)
    assert call("solve", "c.toml", "--out", "d.nc", "-q") == 0
    assert call("compare", "c.toml", "--out", "out.nc", "-q", initial=f"{{{initial}}}") == 0
    with xr.open_dataset("out.nc") as run, xr.open_dataset("d.nc") as old:
        mean = run.mean_token.values[0]
        want = {"u": np.zeros(2), "c": np.array([0.3, 0.2]), "t": points.mean(axis=0), "d": old.mean_token.values[-1]}
        assert np.abs(mean - want[initial[6]]).max() < 1e-7


def test_tokens_by_quadrature_and_their_field():
    """Exactly as many nodes as asked for, weighted by the density; the spectral field is the circle's."""
    c = load_text(CIRCLE, ["simulate.sampling=quadrature", "simulate.tokens=37", "simulate.field=spectral"])
    experiment = build(c)
    tokens, notes = experiment.tokens()
    assert (len(tokens), notes) == (37, ())
    assert np.abs(tokens.mean - experiment.density().mean).max() < 1e-12
    (push,) = experiment.law.layer(0)
    field = experiment.token_field()(push, tokens, 37)
    assert isinstance(field, CircleField)
    choose = build(load_text(CIRCLE)).token_field()  # "auto"
    assert isinstance(choose(push, tokens, 37), DirectField)
    assert isinstance(choose(push, Tokens(experiment.sample(0, 1500)), 1500), CircleField)


@pytest.mark.parametrize(
    ("words", "settings", "line"),
    [
        (("solve", "s.toml"), {"model__d": 4, "initial": "{kind='uniform'}"},
         "model.d = 4: must be 2 or 3 for densities; tokens may have any d"),
        (("compare", "s.toml"), {"model__d": 4, "initial": "{kind='uniform'}"}, "model.d = 4: must be 2 or 3"),
        (("solve", "s.toml"), {"model__d": 4, "initial": "{kind='density',file='d.nc'}"},
         "d.nc: has d = 2, must have model.d = 4"),
        (("solve", "s.toml"), {"initial": "{kind='density',file='d.nc'}"},
         "d.nc: has d = 2, must have model.d = 3"),
        (("simulate", "s.toml"), {"model__d": 4, "initial": "{kind='uniform'}", "simulate__field": "spectral"},
         "must be another method unless model.d is 2 or 3, and model.d is 4"),
        (("solve", "c.toml"), {"initial": "{kind='simplex',overlap=0.1}", "simulate__tokens": 2}, "has no density"),
    ],
)  # fmt: skip
def test_refusals(words, settings, line, capsys):
    assert call("solve", "c.toml", "--out", "d.nc", "-q") == 0
    capsys.readouterr()
    assert call(*words, "--out", "no.nc", **settings) == 2
    told = capsys.readouterr().err.strip()
    assert line in told
    assert "\n" not in told
    assert not Path("no.nc").exists()


# --- pictures


def places(figure):
    return [axes for axes in figure.axes if axes.get_title()]


def test_curves_and_rugs(example):
    with xr.open_dataset(example) as dataset:
        figure = plot(dataset)
        shown = np.linspace(0, 20, 6).round().astype(int)
        assert [axes.get_title() for axes in places(figure)] == [f"depth {0.1 * k:.3g}" for k in shown]
        for axes, k in zip(places(figure), shown, strict=True):
            x, y = axes.lines[0].get_data()
            np.testing.assert_array_equal(y[:-1], dataset.density.values[k])
            assert (x[0], x[-1], y[-1]) == (0.0, 360.0, y[0])  # closed
            (rug,) = (found for found in axes.collections if isinstance(found, LineCollection))
            angle = np.sort([segment[0, 0] for segment in rug.get_segments()])
            tokens = dataset.tokens.values[k]
            np.testing.assert_allclose(angle, np.sort(np.degrees(np.arctan2(tokens[:, 1], tokens[:, 0])) % 360))
            assert max(segment[:, 1].max() for segment in rug.get_segments()) < 0
        limits = [axes.get_ylim()[1] for axes in places(figure)]
        assert len(set(limits)) == 1  # comparable densities share a scale
        with_peak = dataset.load().copy(deep=True)
        with_peak["density"][-1] *= 20
        limits = [axes.get_ylim()[1] for axes in places(plot(with_peak))]
        assert len(set(limits)) == 6


def test_negative_density_is_flagged(example):
    with xr.open_dataset(example) as dataset:
        dataset = dataset.load()
    assert not any(t.get_text().startswith("negative") for t in plot(dataset).findobj(Text))
    dataset["density"][-1] -= 0.1
    found = [t.get_text() for t in plot(dataset).findobj(Text) if t.get_text().startswith("negative")]
    assert found == [f"negative: min \N{MINUS SIGN}{-float(dataset.density[-1].min()):.2g}"]


def test_tokens_stand_on_the_circle():
    assert call("simulate", "c.toml", "--out", "t.nc", "-q", simulate__tokens=40) == 0
    with xr.open_dataset("t.nc") as dataset:
        figure = plot(dataset)
        axes = places(figure)[-1]
        np.testing.assert_allclose(axes.collections[0].get_offsets(), dataset.tokens.values[-1])
        np.testing.assert_allclose(np.ravel(axes.lines[-1].get_data()), dataset.mean_token.values[-1])
        assert not any(x.get_title() for x in plot(dataset.assign(tokens=2 * dataset.tokens)).figure.axes)


@pytest.mark.parametrize("command", ["solve", "simulate", "compare"])
def test_nothing_overlaps_or_leaves_the_page(command):
    assert call(command, "c.toml", "--out", "f.nc", "-q", output__save_every=0.02) == 0
    with xr.open_dataset("f.nc") as dataset, mpl.rc_context():
        figure = plot(dataset)
        figure.canvas.draw()
        renderer = figure.canvas.get_renderer()
        boxes = [axes.get_tightbbox(renderer) for axes in figure.axes]
        boxes += [text.get_window_extent(renderer) for text in figure.texts]
        for k, box in enumerate(boxes):
            assert 0 <= box.x0 < box.x1 <= figure.bbox.x1
            assert 0 <= box.y0 < box.y1 <= figure.bbox.y1
            assert not any(box.overlaps(other) for other in boxes[:k]), k
