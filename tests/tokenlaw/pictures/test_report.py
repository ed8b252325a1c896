"""The page of a run: what stands in it for each kind of file, that it is whole, and what is refused."""

import base64
import json
import re
import sys
from html.parser import HTMLParser

import numpy as np
import pytest
import xarray as xr

from tests.tokenlaw.calls import call
from tests.tokenlaw.pictures.test_plots import (
    UNIT,
    compare_file,
    density_file,
    directions,
    followed,
    layers_file,
    token_file,
)
from tokenlaw.contents import held
from tokenlaw.pictures import page as report
from tokenlaw.pictures.globe import NEGATIVE
from tokenlaw.pictures.orthographic import sample
from tokenlaw.pictures.page import page
from tokenlaw.pictures.panels import panels
from tokenlaw.pictures.paper import plot
from tokenlaw.pictures.scenes import _colours

CONFIGURATION = '[model]\nd = 3\nbeta = 2.0\n[heads]\nkind = "gaussian"\n[layers]\nkind = "homogenized"\ndt = 0.02\n'


def circle_file(density=True, tokens=True):
    angle, n = np.arange(64) * 5.625, 5
    turned = np.radians(angle[None, :] - 30 * np.arange(n)[:, None])
    rho = np.exp(2 * np.cos(turned)) / (2 * np.pi * np.i0(2.0))
    at = np.random.default_rng(0).vonmises(0, 2, (n, 40)) + np.radians(30 * np.arange(n))[:, None]
    points = np.stack([np.cos(at), np.sin(at)], axis=-1)
    mean = points.mean(axis=1)
    data = {
        "mean_token": (("depth_time", "component"), mean),
        "mean_overlap": ("depth_time", (mean**2).sum(axis=1)),
        "second_moment": (("depth_time", "component", "component2"), np.einsum("kni,knj->kij", points, points) / 40),
    }
    if density:
        data["density"] = (("depth_time", "lon"), rho)
    if tokens:
        data["tokens"] = (("depth_time", "token", "component"), points)
    return xr.Dataset(data, coords={"depth_time": np.linspace(0, 2, n), "lon": angle})


def plane_file():
    dataset = token_file(n_records=4, d=3)
    dataset["tokens"] = dataset["tokens"] * np.linspace(1, 7, 4)[:, None, None]
    return dataset.assign_attrs(configuration='[model]\nspace = "euclidean"\n')


FILES = {
    "density": density_file,
    "compare": compare_file,
    "followed": lambda: followed(compare_file()),
    "one record": lambda: compare_file(1, kappas=[1.0]),
    "uniform": lambda: density_file(2, kappas=[0, 0]),
    "tokens on the sphere": token_file,
    "tokens in dimension 16": lambda: token_file(d=16),
    "tokens in space": plane_file,
    "circle": circle_file,
    "circle, density": lambda: circle_file(tokens=False),
    "circle, tokens": lambda: circle_file(density=False),
}


class Page(HTMLParser):
    """Ids, blocks of data, figures, addresses and visible text of a page."""

    def __init__(self, text):
        super().__init__()
        self.ids, self.blocks, self.figures, self.addresses, self.words = [], {}, [], [], []
        self._block, self._hidden = None, False
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        self.ids += [attrs["id"]] if "id" in attrs else []
        self.addresses += [value for key, value in attrs.items() if key in ("src", "href", "srcset", "action")]
        self._block = attrs.get("id") if tag == "script" else None
        self._hidden = tag in ("script", "style")
        if attrs.get("class") == "figure":
            self.figures.append(attrs["id"])

    def handle_endtag(self, tag):
        self._block, self._hidden = None, self._hidden and tag not in ("script", "style")

    def handle_data(self, data):
        if self._block:
            self.blocks[self._block] = json.loads(data, parse_constant=lambda name: pytest.fail(f"{name} in JSON"))
        elif not self._hidden:
            self.words.append(data)

    @property
    def text(self):
        return " ".join(" ".join(self.words).split())


@pytest.fixture(scope="module", autouse=True)
def short():
    """Pages without plotly.js, which says nothing about them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(report, "_plotly", lambda: "/* plotly.js */")
        yield


def read(dataset, name="run.nc"):
    return Page(page(dataset, name))


def values(array):
    """An array of plotly, packed or not."""
    if not isinstance(array, dict):
        return np.array([np.nan if value is None else value for value in array], dtype=float)
    found = np.frombuffer(base64.b64decode(array["bdata"]), dtype=np.dtype(array["dtype"]))
    return found.reshape([int(n) for n in array["shape"].split(",")]) if "shape" in array else found


@pytest.mark.parametrize("name", FILES)
def test_the_page_is_whole_and_fetches_nothing(name):
    dataset = FILES[name]()
    found = read(dataset)
    assert len(found.ids) == len(set(found.ids))
    assert {f"figure-{figure}" for figure in found.figures} | {"page"} == set(found.blocks)
    assert found.addresses == []
    steps = found.blocks["page"]
    assert len(steps) == len(found.blocks["figure-scene"]["frames"]) == min(25, dataset.sizes["depth_time"])
    assert [step["depth"] for step in (steps[0], steps[-1])] == dataset["depth_time"].values[[0, -1]].tolist()


@pytest.mark.parametrize("name", FILES)
def test_every_axis_has_a_name_and_only_a_unit_that_says_something(name):
    for key, figure in read(FILES[name]()).blocks.items():
        for axis in ("xaxis", "yaxis"):
            if key != "page" and axis in figure["layout"]:
                label = figure["layout"][axis]["title"]["text"]
                assert label
                assert [unit for unit in re.findall(r"\((.*?)\)", label) if not UNIT.fullmatch(unit)] == []


@pytest.mark.parametrize(
    "name, figures",
    [
        ("density", {"scene", "overlap", "certificates", "extremes", "spectrum"}),
        ("compare", {"scene", "overlap", "distances", "certificates", "extremes", "spectrum", "pairs"}),
        ("followed", {"scene", "overlap", "distances", "certificates", "extremes", "entropy", "exponents", "nodes",
                      "spectrum", "pairs"}),
        ("tokens in dimension 16", {"scene", "overlap", "spectrum", "pairs"}),
        ("circle, density", {"scene", "overlap", "extremes", "spectrum"}),
    ],
)  # fmt: skip
def test_figures_of_each_kind(name, figures):
    assert set(read(FILES[name]()).figures) == figures


def test_colours_mean_the_density_at_their_place():
    dataset = compare_file()
    figure = read(dataset).blocks["figure-scene"]
    surface = figure["data"][0]
    places = np.stack([values(surface[axis]) for axis in "xyz"], axis=-1).astype(float)
    np.testing.assert_allclose(np.linalg.norm(places, axis=-1), 1, atol=1e-6)
    equator = places[len(places) // 2]  # rows from north to south, columns from longitude 0 eastwards: report.js
    np.testing.assert_allclose([places[0, 0], equator[0], equator[len(equator) // 4]], np.eye(3)[[2, 0, 1]], atol=1e-6)
    for record, frame in ((0, figure["frames"][0]), (20, figure["frames"][-1])):
        got = values(frame["data"][0]["surfacecolor"])
        want = sample(dataset["density"].values[record], dataset["lat"].values, dataset["lon"].values, places)
        np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-6)
    largest = max(values(frame["data"][0]["surfacecolor"]).max() for frame in figure["frames"])
    assert (surface["cmin"], surface["cmax"]) == (0, pytest.approx(largest))


@pytest.mark.parametrize("largest", [2.0, 200.0])
def test_colours_are_finer_near_zero_where_records_differ_much(largest):
    stops = dict(_colours([np.linspace(0, top, 11) for top in (1.0, largest)], "density")["colorscale"])
    assert list(stops) == sorted(stops)
    assert (min(stops), max(stops)) == (0, 1)
    assert (sum(stop < 0.1 for stop in stops) > 8) == (largest > 100)


def test_tokens_stand_where_they_are():
    dataset = compare_file(3, n=50)
    frame = read(dataset).blocks["figure-scene"]["frames"][2]
    dots = np.stack([values(frame["data"][2][axis]) for axis in "xyz"], axis=-1)
    np.testing.assert_allclose(dots / np.linalg.norm(dots, axis=1)[:, None], dataset["tokens"].values[2], atol=1e-6)
    mean = np.array([values(frame["data"][1][axis])[0] for axis in "xyz"])
    want = dataset["mean_token"].values[2]
    np.testing.assert_allclose(mean / np.linalg.norm(mean), want / np.linalg.norm(want), atol=1e-6)


def test_the_plane_holds_the_largest_second_moment():
    dataset = plane_file()
    pooled = dataset["tokens"].values.reshape(-1, 3)
    pairs = np.linalg.eigvalsh(pooled.T @ pooled / len(pooled))[::-1]
    frames = read(dataset).blocks["figure-scene"]["frames"]
    image = np.concatenate([np.stack([values(f["data"][0][a]) for a in "xy"], axis=-1) for f in frames])
    np.testing.assert_allclose(np.linalg.eigvalsh(image.T @ image / len(image))[::-1], pairs[:2], rtol=1e-6)


def test_the_circle_without_density_has_a_histogram_of_mass_one():
    frames = read(circle_file(density=False)).blocks["figure-scene"]["frames"]
    for frame in frames:
        curve = values(frame["data"][0]["y"])
        assert curve.sum() * 2 * np.pi / len(curve) == pytest.approx(1.0)


def test_curves_are_those_of_the_file():
    dataset = compare_file()
    found = read(dataset).blocks
    named = {curve["name"]: values(curve["y"]) for curve in found["figure-distances"]["data"]}
    np.testing.assert_array_equal(named["coupled rms"][1:], dataset["coupled_rms"].values[1:])
    overlap = found["figure-overlap"]["data"]
    np.testing.assert_array_equal(values(overlap[0]["y"]), dataset["mean_overlap"])
    np.testing.assert_array_equal(values(overlap[1]["y"]), dataset["tokens_mean_overlap"])


@pytest.mark.parametrize("name", FILES)
def test_paper_and_page_draw_the_same_curves(name):
    """One list of panels: of those that both show, labels, names of curves and values are the same."""
    dataset = FILES[name]()
    given = {panel.name: panel for panel in panels(held(dataset)[0]) if panel.series}
    on_page = {key.removeprefix("figure-"): block for key, block in read(dataset).blocks.items()}
    assert set(given) == set(on_page) - {"page", "scene"}
    axes = {(ax.get_xlabel(), ax.get_ylabel()): ax for ax in plot(dataset).axes}
    found = {key: axes[label] for key, panel in given.items() if (label := (panel.x_label, panel.y_label)) in axes}
    assert found
    for key, ax in found.items():
        drawn = {line.get_label(): line.get_ydata() for line in ax.lines}
        for curve in on_page[key]["data"]:
            y = values(curve["y"])
            if ax.lines:
                np.testing.assert_array_equal(drawn[curve["name"]], y[np.isfinite(y)])
            else:  # bars
                assert curve["name"] in ax.get_legend_handles_labels()[1]
        assert ax.get_yscale() == on_page[key]["layout"]["yaxis"]["type"]


@pytest.mark.parametrize("ratio, scale", [(2.0, "linear"), (9.0, "linear"), (11.0, "log"), (1e5, "log")])
def test_an_axis_over_less_than_a_decade_is_linear(ratio, scale):
    """Labels of a logarithmic one would stand at every digit and meet, on paper as on the page."""
    dataset = compare_file(4).assign(coupled_rms=("depth_time", np.geomspace(0.1, 0.1 * ratio, 4)))
    dataset = dataset.drop_vars(["w1_geodesic", "w2_chordal", "w2_floor"])
    axis = read(dataset).blocks["figure-distances"]["layout"]["yaxis"]
    assert axis["type"] == scale
    assert axis.get("dtick") in {"linear": (None,), "log": ("D2", 1)}[scale]
    assert next(ax for ax in plot(dataset).axes if "distance" in ax.get_ylabel()).get_yscale() == scale


def test_what_a_variable_is_stands_as_in_the_file():
    dataset = compare_file(3)
    dataset["coupled_rms"].attrs["long_name"] = "<i>distance</i> of twins"
    assert read(dataset).text.count("<i>distance</i> of twins") == 2  # at its curve and in the table of numbers


def with_overlap(*course):
    n = len(course)
    return density_file(n).assign(mean_overlap=("depth_time", np.array(course)))


@pytest.mark.parametrize(
    "dataset, sentence",
    [
        (with_overlap(0.1, 0.4, 0.8), "The mean overlap goes from 0.1 to 0.8: two tokens grow more alike"),
        (with_overlap(0.4, 0.2, 0.1), "two tokens grow less alike"),
        (with_overlap(0.4, 0.2, 0.405), "about as alike at the end as at the start"),
        (with_overlap(0.4, 0.995, 0.6, 0.999), "from depth 0.3 on the tokens are indistinguishable"),
        (with_overlap(0.4, 0.995, 0.6), "two tokens grow more alike"),
        (with_overlap(0.4, 0.995, 0.999), "from depth 0.1 on the tokens are indistinguishable"),
        (density_file(3), "Density resolved at every record"),
        (
            density_file(3).assign(unresolved=("depth_time", [0, 1, 1])),
            "Density unresolved at 2 of 3 records, first at depth 0.1:",
        ),
        (plane_file(), "The mean token has length"),
    ],
)
def test_findings(dataset, sentence):
    assert sentence in read(dataset).text


def test_distance_is_told_beside_its_floor():
    dataset = compare_file(3)
    for w2, words in ((0.2, "no difference beyond sampling"), (0.6, "3 times what sampling alone gives")):
        dataset["w2_chordal"][:], dataset["w2_floor"][:] = w2, 0.2
        assert words in read(dataset).text
    dataset["w2_chordal"][:] = np.nan
    assert "W₂ between tokens" not in read(dataset).text


def test_negative_densities_have_their_colour():
    dataset = compare_file(3)
    dataset["density"][-1] -= 0.1
    figure = read(dataset).blocks["figure-scene"]
    first, last = (values(figure["frames"][k]["data"][0]["surfacecolor"]) for k in (0, -1))
    assert first.min() >= 0
    assert last.min() == pytest.approx(-0.1, abs=0.02)
    surface = figure["data"][0]
    below = [place for place, colour in surface["colorscale"] if colour == NEGATIVE]
    zero = -surface["cmin"] / (surface["cmax"] - surface["cmin"])
    assert (below[0], below[-1]) == (0, pytest.approx(zero))


def test_text_of_the_file_stays_text():
    evil = "</script><img src=x onerror=alert(1)>"
    dataset = compare_file(2).assign_attrs(title=evil, configuration=evil, numpy_version=evil)
    found = read(dataset, evil)
    assert found.addresses == []
    assert found.text.count("onerror") >= 4


def test_no_data_ends_its_block(monkeypatch):
    monkeypatch.setattr(report, "_steps", lambda *_: [{"text": "</script><b>"}])
    text = page(density_file(2), "run.nc")
    assert "<b>" not in text
    assert Page(text).blocks["page"] == [{"text": "</script><b>"}]


def test_many_records_are_thinned():
    found = read(token_file(n_records=60, d=16)).blocks
    assert len(found["figure-scene"]["frames"]) == 25
    assert len(values(found["figure-overlap"]["data"][0]["y"])) == 60


def test_configuration_versions_and_seed_are_there():
    dataset = compare_file(2).assign_attrs(
        configuration=CONFIGURATION, seed="7", member="3", tokenlaw_version="0.1.0", shtns_version="3.7"
    )
    text = read(dataset).text
    for words in ("d = 3, β = 2, softmax attention", "homogenized layers, gaussian heads, dt 0.02", "seed 7, member 3",
                  "tokenlaw version 0.1.0", "shtns version 3.7", 'kind = "homogenized"'):  # fmt: skip
        assert words in text


def test_a_page_as_large_as_that_of_the_quickstart_is_below_seven_megabytes(monkeypatch):
    monkeypatch.undo()
    from plotly.offline import get_plotlyjs

    lat = np.degrees(np.arcsin(np.polynomial.legendre.leggauss(96)[0]))[::-1]
    dataset = compare_file(21, n=2000).drop_vars(["lat", "lon", "density"])
    lon = np.arange(192) * 1.875
    where = directions(lat[:, None], lon[None, :])
    fields = np.stack([np.exp(where @ np.array([0, k / 9, 1.0])) for k in range(21)])
    dataset = dataset.assign(density=(("depth_time", "lat", "lon"), fields)).assign_coords(lat=lat, lon=lon)
    assert len(page(dataset, "run.nc").encode()) + len(get_plotlyjs().encode()) < 7e6


@pytest.mark.parametrize(
    "dataset, message",
    [
        (layers_file(True), r"report is made of the file of a run.*the file has mixing, query_key"),
        (density_file(2).isel(depth_time=slice(0, 0)), "no records yet"),
        (xr.concat([density_file(2)] * 2, "realization"), "2 realizations; a report is of one"),
        (xr.Dataset(), "the file has no variables"),
    ],
)
def test_what_is_no_run_is_refused(dataset, message):
    with pytest.raises(ValueError, match=message):
        page(dataset, "run.nc")


def test_one_realization_is_a_run():
    assert read(density_file(2).expand_dims("realization")).figures == read(density_file(2)).figures


def test_command(tmp_path, capsys):
    file = tmp_path / "run.nc"
    density_file(2).to_netcdf(file)
    assert call("report", file) == 0
    assert re.fullmatch(r".*run\.html: \d+\.\d MB, opens in a browser without a network\n", capsys.readouterr().out)
    assert call("report", file, "--out", tmp_path / "new" / "page.html") == 0
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["new", "page.html", "run.html", "run.nc"]
    assert (tmp_path / "run.html").read_text(encoding="utf-8").startswith("<!doctype html>")


@pytest.mark.parametrize(
    "out, message",
    [("page.txt", "--out: must end with .html, got"), ("none.nc", "none.nc: no such file")],
)
def test_command_refuses(tmp_path, capsys, out, message):
    density_file(2).to_netcdf(tmp_path / "run.nc")
    words = ["run.nc", "--out", tmp_path / out] if out.endswith("txt") else [out]
    assert call("report", tmp_path / words[0], *words[1:]) == 2
    said = capsys.readouterr().err
    assert message in said
    assert said.count("\n") == 1


def test_command_names_the_file_it_cannot_show(tmp_path, capsys):
    layers_file(True).to_netcdf(tmp_path / "layers.nc")
    assert call("report", tmp_path / "layers.nc") == 2
    assert re.match(r"error: .*layers\.nc: a report is made of", capsys.readouterr().err)
    assert not (tmp_path / "layers.html").exists()


def test_without_plotly_one_line_says_how_to_get_it(tmp_path, capsys, monkeypatch):
    import tokenlaw.pictures

    density_file(2).to_netcdf(tmp_path / "run.nc")
    for name in [name for name in sys.modules if name.partition(".")[0] == "plotly"]:
        monkeypatch.setitem(sys.modules, name, None)
    for name in ("page", "scenes"):
        monkeypatch.delitem(sys.modules, f"tokenlaw.pictures.{name}", raising=False)
        monkeypatch.delattr(tokenlaw.pictures, name, raising=False)
    assert call("report", tmp_path / "run.nc") == 2
    assert "pip install 'plotly>=6,<7'" in capsys.readouterr().err
