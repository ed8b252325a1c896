"""Pictures: the projection against closed forms, and what a figure of each kind of file shows."""

from __future__ import annotations

import math
import re
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pytest
import xarray as xr
from matplotlib.text import Text

from particles.files import DEPTH_TIME_ATTRS
from tokenlaw.pictures.orthographic import best_direction, graticule, pixels, sample, view
from tokenlaw.pictures.paper import plot, save
from tokenlaw.pictures.words import depth_label

ROOT = Path(__file__).parents[3]
UNIT = re.compile(r"number\b.*|radii|nats|degrees|layers|per [a-z ]+|the file has no β")
LAT = np.degrees(np.arcsin(np.polynomial.legendre.leggauss(24)[0]))[::-1]  # north to south
LON = np.arange(48) * 7.5


def directions(lat, lon):
    lat, lon = np.radians(lat), np.radians(lon)
    return np.stack([np.cos(lat) * np.cos(lon), np.cos(lat) * np.sin(lon), np.sin(lat) + 0 * lon], axis=-1)


def von_mises_fisher(points, mean, kappa):
    scale = kappa / (2 * np.pi * -np.expm1(-2 * kappa)) if kappa else 1 / (4 * np.pi)
    return scale * np.exp(kappa * (points @ mean - 1))


def draw(rng, n, mean, kappa):
    """n points of the von Mises-Fisher law."""
    height = 1 + np.log1p(rng.random(n) * np.expm1(-2 * kappa)) / kappa if kappa else rng.uniform(-1, 1, n)
    side = rng.normal(size=(n, 3))
    side -= np.outer(side @ mean, mean)
    side /= np.linalg.norm(side, axis=1, keepdims=True)
    return height[:, None] * mean + np.sqrt(np.maximum(1 - height**2, 0))[:, None] * side


def means(n_records):
    """A direction that wanders with depth."""
    t = np.linspace(0, 1, n_records)
    return directions(35 + 25 * t, -40 + 60 * t)


def followed(dataset):
    """A file with characteristics, of a density that gathers by the factor e in each record."""
    n, rng = dataset.sizes["depth_time"], np.random.default_rng(0)
    logs = rng.normal(-2, 1, 60) + np.arange(n)[:, None]
    exponents = np.concatenate([np.full((1, 2), np.nan), np.linspace([-1.0, -3], [-2, -2.5], n - 1)])
    return dataset.assign(
        node_log_density=(("depth_time", "node"), logs),
        node_weight=("node", rng.dirichlet(np.ones(60))),
        entropy=("depth_time", -logs.mean(axis=1)),
        lyapunov=(("depth_time", "exponent"), exponents),
    )


def density_file(n_records=21, kappas=None, lat=LAT, lon=LON):
    kappas = np.geomspace(1.0, 60.0, n_records) if kappas is None else np.asarray(kappas, float)
    depth = 0.1 * np.arange(n_records)
    grid = directions(lat[:, None], lon[None, :])
    density = np.stack([von_mises_fisher(grid, m, k) for m, k in zip(means(n_records), kappas, strict=True)])
    length = np.where(kappas > 0, 1 / np.tanh(np.maximum(kappas, 1e-9)) - 1 / np.maximum(kappas, 1e-9), 0.0)
    mean = length[:, None] * means(n_records)
    tail = 1e-9 * np.exp(np.linspace(0, 12, n_records))
    over = "depth_time"
    return xr.Dataset(
        {
            "density": ((over, "lat", "lon"), density),
            "mean_token": ((over, "component"), mean),
            "mean_overlap": (over, (mean**2).sum(1)),
            "second_moment": ((over, "component", "component2"), mean[:, :, None] * mean[:, None, :]),
            "moment_defect": (over, 1e-12 + 0 * depth),
            "min_density": (over, density.min((1, 2))),
            "spectral_tail": (over, tail),
            "unresolved": (over, (tail > 1e-3).astype(np.int8)),
        },
        coords={over: depth, "lat": lat, "lon": lon},
    )


def token_arrays(n_records, n, kappas, d=3):
    rng = np.random.default_rng(1)
    if d == 3:
        return np.stack([draw(rng, n, m, k) for m, k in zip(means(n_records), kappas, strict=True)])
    points = rng.normal(size=(n_records, n, d)) + np.linspace(0, 2, n_records)[:, None, None]
    return points / np.linalg.norm(points, axis=-1, keepdims=True)


def token_file(n_records=21, n=300, d=3):
    x = token_arrays(n_records, n, np.geomspace(1.0, 60.0, n_records), d)
    over = "depth_time"
    return xr.Dataset(
        {
            "tokens": ((over, "token", "component"), x),
            "weight": ("token", np.full(n, 1 / n)),
            "mean_token": ((over, "component"), x.mean(1)),
            "mean_overlap": (over, (x.mean(1) ** 2).sum(1)),
            "second_moment": ((over, "component", "component2"), np.einsum("tni,tnj->tij", x, x) / n),
        },
        coords={over: 0.1 * np.arange(n_records)},
    )


def compare_file(n_records=21, n=300, **options):
    dataset = density_file(n_records, **options)
    x = token_arrays(n_records, n, options.get("kappas", np.geomspace(1.0, 60.0, n_records)))
    rng = np.random.default_rng(2)
    over, computed = "depth_time", np.full(n_records, np.nan)
    computed[np.linspace(0, n_records - 1, 6).round().astype(int)] = 1.0
    noise = np.exp(0.1 * rng.normal(size=(4, n_records)))
    return dataset.assign(
        {
            "tokens": ((over, "token", "component"), x),
            "weight": ("token", np.full(n, 1 / n)),
            "tokens_mean": ((over, "component"), x.mean(1)),
            "tokens_mean_overlap": (over, (x.mean(1) ** 2).sum(1)),
            "coupled_rms": (over, 0.01 * np.sqrt(dataset[over].values) * noise[0]),
            "w2_chordal": (over, 0.12 * computed * noise[1]),
            "w1_geodesic": (over, 0.09 * computed * noise[2]),
            "w2_floor": (over, 0.11 * computed * noise[3]),
        }
    )


def layers_file(full):
    rng = np.random.default_rng(3)
    square, thin = ("layer", "head", "row", "col"), ("layer", "head", "head_row", "col")
    data = {"mixing": (square, 0.05 * rng.normal(size=(12, 4, 8, 8)))}
    query, key = rng.normal(size=(2, 12, 4, 5, 8))
    if full:
        data["query_key"] = (square, np.swapaxes(key, -1, -2) @ query)
    else:
        data |= {"query": (thin, query), "key": (thin, key)}
    return xr.Dataset(data, attrs={"beta": 2.0})


# --- the projection


@pytest.mark.parametrize(
    "towards", [(1, 0, 0), (0, 0, 1), (0, 0, -1), (0.3, -0.5, 0.8), (1e-4, 0, 1)], ids=str
)
def test_view_is_a_rotation(towards):
    axes = view(towards)
    np.testing.assert_allclose(axes @ axes.T, np.eye(3), atol=1e-14)
    assert np.linalg.det(axes) == pytest.approx(1.0)
    assert axes[0, 2] == pytest.approx(0.0, abs=1e-12) or abs(axes[2, 2]) > 0.999  # north is up


def test_projection_closed_forms():
    x, y, depth = view((1, 0, 0)) @ directions(np.array([0, 0, 30, 90, 0]), np.array([0, 30, 0, 0, 180])).T
    np.testing.assert_allclose(x, [0, 0.5, 0, 0, 0], atol=1e-15)
    np.testing.assert_allclose(y, [0, 0, 0.5, 1, 0], atol=1e-15)
    np.testing.assert_allclose(depth, [1, np.sqrt(0.75), np.sqrt(0.75), 0, -1], atol=1e-15)


def test_pixels_and_projection_are_inverse():
    seen, size = view((0.2, 0.9, -0.4)), 40
    behind = pixels(seen, size)
    np.testing.assert_allclose(np.linalg.norm(behind, axis=-1), 1.0, atol=1e-14)
    image = behind @ seen.T
    assert (image[..., 2] >= -1e-15).all()
    centres = (2 * np.arange(size) + 1) / size - 1
    inside = np.hypot(centres[:, None], centres[None, :]) < 1
    np.testing.assert_allclose(
        image[..., 0][inside], np.broadcast_to(centres, inside.shape)[inside], atol=1e-14
    )
    np.testing.assert_allclose(
        image[..., 1].T[inside.T], np.broadcast_to(centres, inside.shape)[inside], atol=1e-14
    )


@pytest.mark.parametrize("lat, lon", [(50, 350), (-70, 3), (89, 120), (0, 181), (-88, 275)])
def test_a_peak_is_at_its_pixel(lat, lon):
    peak = directions(lat, lon)
    seen = view(peak + 0.4 * np.array([0.3, -0.2, 0.5]))
    size = 200
    field = von_mises_fisher(directions(LAT[:, None], LON[None, :]), peak, 40.0)
    image = sample(field, LAT, LON, pixels(seen, size))
    row, column = np.unravel_index(image.argmax(), image.shape)
    expected = (seen @ peak)[:2]
    found = (2 * np.array([column, row]) + 1) / size - 1
    assert np.abs(found - expected).max() < np.radians(7.5)  # a cell of the data grid


def test_sampling_is_exact_on_the_grid_and_second_order_between():
    def smooth(x):
        return 1 + x[..., 0] * x[..., 2] + 0.5 * x[..., 1]

    grid = directions(LAT[:, None], LON[None, :])
    np.testing.assert_allclose(sample(smooth(grid), LAT, LON, grid), smooth(grid), atol=1e-12)
    probes = np.random.default_rng(0).normal(size=(2000, 3))
    probes /= np.linalg.norm(probes, axis=1, keepdims=True)
    probes[:2] = [[0, 0, 1], [0, 0, -1]]
    errors = []
    for n in (24, 48):
        lat, lon = (np.degrees(np.arcsin(np.polynomial.legendre.leggauss(n)[0])), np.arange(2 * n) * 180 / n)
        field = smooth(directions(lat[:, None], lon[None, :]))
        errors.append(np.abs(sample(field, lat, lon, probes) - smooth(probes)).max())
    assert errors[0] < 0.02
    assert 3 < errors[0] / errors[1] < 5
    turned = sample(np.roll(smooth(grid), 7, axis=1), LAT, np.roll(LON, 7), probes)  # any order of longitudes
    np.testing.assert_allclose(turned, sample(smooth(grid), LAT, LON, probes), atol=1e-13)


def test_sampling_refuses_a_transposed_field():
    with pytest.raises(ValueError, match=r"field must have shape \(24, 48\)"):
        sample(np.zeros((48, 24)), LAT, LON, np.eye(3))


def test_direction_is_that_of_the_summed_means():
    m = directions(np.array([0.0, 0.0, 0.0]), np.array([0.0, 60.0, 120.0]))
    assert (m @ best_direction(m) > 0.4).all()
    np.testing.assert_allclose(best_direction(0.5 * m[:1]), m[0], atol=1e-12)
    for gone in (np.zeros((4, 3)), np.stack([m[0], -m[0]])):  # all three axes in sight
        assert np.linalg.norm(best_direction(gone)) == pytest.approx(1.0)
        assert (np.abs(best_direction(gone)) > 0.4).all()


def test_graticule_is_on_the_sphere_and_drawn_on_the_visible_side():
    for line in graticule():
        np.testing.assert_allclose(np.linalg.norm(line, axis=1), 1, atol=1e-14)
    globe = next(axes for axes in plot(density_file(1)).axes if axes.get_title())
    lines = [line.get_xydata() for line in globe.lines]
    assert len(lines) == len(graticule()) == 11
    assert np.nanmax([np.hypot(*line.T) for line in lines]) <= 1 + 1e-12
    assert sum(np.isfinite(line).any() for line in lines) > 8
    assert sum(np.isnan(line).any() for line in lines) > 5


# --- figures


def texts(figure):
    return [t.get_text() for t in figure.findobj(Text) if t.get_text() and t.get_visible()]


def panel(figure, ylabel):
    return next(axes for axes in figure.axes if ylabel in axes.get_ylabel())


def titles(figure):
    return [axes.get_title() for axes in figure.axes if axes.get_title()]


def test_compare_figure():
    dataset = compare_file()
    figure = plot(dataset)
    assert titles(figure) == ["depth 0", "depth 0.4", "depth 0.8", "depth 1.2", "depth 1.6", "depth 2"]
    overlap, distance = panel(figure, "overlap"), panel(figure, "distance")
    assert overlap.get_xlabel() == distance.get_xlabel() == "depth time"
    lines = {line.get_label(): line for line in overlap.lines}
    np.testing.assert_array_equal(lines["density"].get_ydata(), dataset["mean_overlap"])
    np.testing.assert_array_equal(lines["300 tokens"].get_ydata(), dataset["tokens_mean_overlap"])
    assert distance.get_yscale() == "log"
    counts = {line.get_label(): len(line.get_xdata()) for line in distance.lines}
    assert sorted(counts.values()) == [6, 6, 6, 20]  # those that are finite, and not 0
    bar = next(axes for axes in figure.axes if axes.get_ylabel().startswith("density"))
    assert bar.get_ylim() == (0.0, pytest.approx(float(dataset["density"].max())))
    assert any(
        "moment defect at most 1.0e-12" in t and "resolved at every record" in t for t in texts(figure)
    )
    assert not any("negative" in t for t in texts(figure))


@pytest.mark.parametrize("make", [
    compare_file, density_file, token_file, lambda: token_file(d=16), lambda: layers_file(True),
    lambda: layers_file(False), lambda: followed(compare_file()), lambda: token_file(d=2),
])  # fmt: skip
def test_an_axis_has_a_name_and_only_a_unit_that_says_something(make):
    """Where nothing is labelled there is a sphere or circle without axes; angles have their sign at the ticks too."""
    labels = [label for axes in plot(make()).axes for label in (axes.get_xlabel(), axes.get_ylabel()) if label]
    assert len(labels) >= 4
    assert [unit for label in labels for unit in re.findall(r"\((.*?)\)", label) if not UNIT.fullmatch(unit)] == []
    assert {label for label in labels if label.startswith("depth")} <= {"depth time"}


def test_no_label_anywhere_in_the_source_has_the_unit_1():
    """Studies, maps, the gallery and the scripts of the documentation included; the files keep units = "1"."""
    places = ("tokenlaw", "validation", "examples", "docs")
    text = {path: path.read_text("utf-8") for place in places for path in sorted((ROOT / place).rglob("*.py"))}
    text |= {path: path.read_text("utf-8") for path in (ROOT / "tokenlaw").rglob("*.html")}
    assert len(text) > 100
    assert [str(path) for path, source in text.items() if re.search(r""" \(1\)["'} ]""", source)] == []
    assert DEPTH_TIME_ATTRS == {"long_name": depth_label(density_file()), "units": "1"}


def test_depth_of_recorded_layers_counts_layers():
    dataset = token_file().assign_attrs(configuration='[layers]\nkind = "recorded"\n')
    assert {axes.get_xlabel() for axes in plot(dataset).axes if "depth" in axes.get_xlabel()} == {"depth (layers)"}


def test_compare_without_distances():
    dataset = compare_file().assign(coupled_rms=("depth_time", np.zeros(21)))
    for name in ("w2_chordal", "w1_geodesic", "w2_floor"):
        dataset[name][:] = np.nan
    assert "no distance was computed" in texts(plot(dataset))


@pytest.mark.parametrize("make", [compare_file, density_file, token_file])
@pytest.mark.parametrize("n_records", [1, 2, 7])
def test_few_records(make, n_records):
    figure = plot(make(n_records))
    assert len(titles(figure)) == min(n_records, 6)
    assert titles(figure)[0] == "depth 0"


def test_uniform_density():
    figure = plot(density_file(3, kappas=[0, 0, 0]))
    assert len(titles(figure)) == 3
    assert panel(figure, "overlap").get_ylim()[0] == 0.0


def test_dots_are_in_front_and_at_their_place():
    dataset = compare_file(1, n=50, kappas=[0.0])
    points = dataset["tokens"].values[0]
    (globe,) = (axes for axes in plot(dataset).axes if axes.get_title())
    image = points @ view(best_direction(dataset["mean_token"].values)).T
    front = image[:, 2] > 0
    assert 0 < np.count_nonzero(front) < 50
    np.testing.assert_allclose(globe.collections[0].get_offsets(), image[front, :2])


def test_negative_density_is_flagged():
    dataset = compare_file()
    dataset["density"][-1] -= 0.1
    dataset["unresolved"][-1] = 1
    figure = plot(dataset)
    found = texts(figure)
    assert sum(t.startswith("negative: min \N{MINUS SIGN}0.1") for t in found) == 1
    assert any("density unresolved at 1 of 21 records, first at depth 2" in t for t in found)
    globe = next(axes for axes in figure.axes if axes.get_title() == "depth 2")
    picture = globe.images[0]
    under = picture.cmap(picture.norm(picture.get_array().min()))
    np.testing.assert_allclose(under, picture.cmap.get_under())
    assert not np.allclose(under, picture.cmap(0.0))


def test_truncation_noise_is_not_flagged():
    dataset = density_file(2)
    dataset["density"] -= 1e-9
    assert not any(t.startswith("negative") for t in texts(plot(dataset)))


def test_token_figures():
    plane = plot(token_file(d=16))
    assert not titles(plane)
    assert panel(plane, "8 of 16")
    ball = plot(token_file())
    assert len(titles(ball)) == 6
    curves = panel(ball, "eigenvalues").lines
    np.testing.assert_allclose(sum(line.get_ydata() for line in curves), 1.0, atol=1e-12)
    assert "overlap" in panel(ball, "share").get_xlabel()
    initial = xr.Dataset({"tokens": (("token", "component"), token_file().tokens.values[0])})
    assert titles(plot(initial)) == ["depth 0"]


@pytest.mark.parametrize("full", [True, False])
def test_layers_figure(full):
    dataset = layers_file(full)
    figure = plot(dataset)
    largest = np.linalg.svd(dataset["mixing"].values, compute_uv=False)[..., 0].mean(axis=1)
    np.testing.assert_allclose(panel(figure, "singular").lines[0].get_ydata(), largest)
    heads = panel(figure, "heads")
    counts, edges, _ = heads.patches[0].get_data()
    assert counts.sum() == 48
    if full:
        norms = 2.0 * np.linalg.norm(dataset["query_key"].values, ord=2, axis=(-2, -1))
        np.testing.assert_allclose(edges[[0, -1]], (norms.min(), norms.max()))


def test_layer_norms_agree_in_both_forms():
    sides = []
    for full in (True, False):
        sides.append(panel(plot(layers_file(full)), "heads").patches[0].get_data().edges)
    np.testing.assert_allclose(*sides)


def test_realization_is_dropped():
    assert len(titles(plot(density_file(3).expand_dims("realization")))) == 3
    pair = xr.concat([density_file(3)] * 2, "realization")
    with pytest.raises(ValueError, match="2 realizations; plot one"):
        plot(pair)


def test_nothing_to_plot():
    with pytest.raises(ValueError, match=r"density\(depth_time, lat, lon\).*the file has temperature"):
        plot(xr.Dataset({"temperature": ("x", [1.0])}))
    with pytest.raises(ValueError, match="no records yet"):
        plot(density_file(2).isel(depth_time=slice(0, 0)))


@pytest.mark.parametrize(
    "make",
    [
        compare_file,
        density_file,
        token_file,
        lambda: token_file(d=16),
        lambda: layers_file(True),
        lambda: density_file(2, kappas=[0, 0]),
        lambda: compare_file(1, kappas=[1.0]),
        lambda: followed(density_file()),
        lambda: followed(compare_file()),
        lambda: followed(compare_file(1, kappas=[1.0])),
    ],
)
def test_nothing_overlaps_or_leaves_the_page(make):
    figure = plot(make())
    figure.canvas.draw()
    renderer = figure.canvas.get_renderer()
    boxes = [axes.get_tightbbox(renderer) for axes in figure.axes]
    boxes += [text.get_window_extent(renderer) for text in figure.texts]
    for k, box in enumerate(boxes):
        assert box.x0 >= 0
        assert box.y0 >= 0
        assert box.x1 <= figure.bbox.x1
        assert box.y1 <= figure.bbox.y1
        assert not any(box.overlaps(other) for other in boxes[:k]), k


def test_save(tmp_path):
    figure = plot(density_file(1))
    save(figure, tmp_path / "a.png", dpi=50)
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")
    save(figure, str(tmp_path / "b.PDF"))
    assert (tmp_path / "b.PDF").read_bytes().startswith(b"%PDF")
    with pytest.raises(ValueError, match=r"c\.xyz: pictures end in one of .*png.*got '\.xyz'"):
        save(figure, tmp_path / "c.xyz")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.png", "b.PDF"]


def test_global_state_of_matplotlib_is_left_alone():
    before = dict(mpl.rcParams)
    plot(density_file(1))
    assert dict(mpl.rcParams) == before


@pytest.mark.parametrize("d", [2, 3])
def test_entropy_is_shown_below_that_of_the_uniform_law(d):
    area = 2 * np.pi ** (d / 2) / math.gamma(d / 2)
    file = density_file(3)
    if d == 2:
        file = file.isel(lat=0, drop=True).drop_vars(["mean_token", "second_moment"])
        file["density"][:] = 1 / (2 * np.pi)
    file = file.assign(entropy=("depth_time", np.log(area) - np.arange(3.0)))
    axes = panel(plot(file), "entropy")
    assert axes.lines[0].get_ydata()[0] == pytest.approx(np.log(area))
    assert axes.lines[0].get_label() == f"uniform, log {round(area / np.pi)}π"


def test_the_energy_of_tokens_is_drawn_beside_that_of_the_density():
    file = density_file(3)
    names = ("interaction_energy", "tokens_interaction_energy", "tokens_attention_energy")
    file = file.assign({name: ("depth_time", -k - np.arange(3.0)) for k, name in enumerate(names)})
    lines = [line for line in panel(plot(file), "energy").lines if len(line.get_ydata()) == 3]
    assert [line.get_ydata()[0] for line in lines] == [0.0, -1.0, -2.0]
    assert [line.get_linestyle() for line in lines] == ["-", "--", "--"]
