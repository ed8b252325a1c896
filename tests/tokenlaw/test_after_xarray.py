"""Files after ordinary xarray work: drawn and told as far as they go, or refused in a line; never a wrong picture."""

import netCDF4
import numpy as np
import pytest
import xarray as xr

from particles.files.recorder import in_realization
from tests.fuzz import worked
from tests.tokenlaw.calls import call
from tests.tokenlaw.pictures.test_plots import (
    LAT,
    LON,
    compare_file,
    density_file,
    directions,
    followed,
    panel,
    texts,
    titles,
)
from tests.tokenlaw.pictures.test_plots import token_file as tokens_of
from tokenlaw.contents import held, record
from tokenlaw.files import describe, opened, summaries
from tokenlaw.pictures.orthographic import closed, sample
from tokenlaw.pictures.page import page
from tokenlaw.pictures.paper import plot

EXAMPLES = 500  # `python -m tests.fuzz.worked` tries thousands


@pytest.mark.parametrize("part", range(5))
def test_no_chain_of_xarray_work_ends_in_a_traceback(part):
    """All are told about; of each part some are drawn and some become pages."""
    losses = {}
    with worked.small():
        for k in range(part, EXAMPLES, 5):
            file, told = worked.worked(np.random.default_rng([0, k]))
            uses = [worked.tell] + [worked.draw] * (k % 20 == 0) + [worked.page] * (k % 40 == 0)
            for use in uses:
                lost, _ = worked.loss(use, file)
                if lost:
                    losses[f"{use.__name__}: {lost}"] = f"{k}: {told}"
    assert not losses, losses


@pytest.fixture(scope="module")
def both():
    return compare_file(3, n=40, kappas=[1.0, 2.0, 4.0], lat=LAT[::2], lon=LON[::2])


def images(file):
    return [np.asarray(axes.images[0].get_array()) for axes in plot(file).axes if axes.images and axes.get_title()]


WHOLE = {
    "south first": lambda b: b.sortby("lat"),
    "from -180": lambda b: b.assign_coords(lon=(b["lon"] + 180) % 360 - 180).sortby("lon"),
    "rolled": lambda b: b.roll(lon=5, roll_coords=True),
    "transposed": lambda b: b.transpose(..., "depth_time", "lat"),
    "records backwards": lambda b: b.isel(depth_time=slice(None, None, -1)),
    "a meridian twice": lambda b: xr.concat(
        [b, b.isel(lon=[0]).assign_coords(lon=[360.0])], "lon", data_vars="minimal", coords="minimal", compat="override"
    ),
    "an axis more": lambda b: b.expand_dims("case"),
    "one realization": lambda b: b.expand_dims("realization"),
    "without attributes": lambda b: b.drop_attrs(),
    "density alone": lambda b: b[["density", "mean_token"]],
}


@pytest.mark.parametrize("how", WHOLE)
def test_the_same_density_is_the_same_picture(both, how, monkeypatch):
    monkeypatch.setattr("tokenlaw.pictures.globe.PIXELS", 40)
    given, after = images(both), images(WHOLE[how](both))
    assert len(given) == len(after) == 3
    for one, other in zip(given, after, strict=True):
        np.testing.assert_allclose(other, one, atol=1e-12)


def test_where_a_file_says_nothing_there_is_no_value():
    """A region, a mask and a grid thinned within reason; towards a pole, over the seam and between."""
    grid = directions(LAT[:, None], LON[None, :])
    field = 1 + grid[..., 0]
    north = LAT > 20
    found = sample(field[north], LAT[north], LON, directions(np.array([89.0, 50, -40]), np.array([3.0, 200, 30])))
    assert np.isfinite(found).tolist() == [True, True, False]
    west = LON < 100
    found = sample(field[:, west], LAT, LON[west], directions(np.array([0.0, 0, 80]), np.array([50.0, 200, 359])))
    assert np.isfinite(found).tolist() == [True, False, False]
    thin = sample(field[::2, ::2], LAT[::2], LON[::2], grid)
    assert np.isfinite(thin).all()
    assert np.abs(thin - field).max() < 0.05
    holes = np.where(grid[..., 2] > 0.5, np.nan, field)
    assert np.isnan(sample(holes, LAT, LON, directions(70.0, 10.0)))
    angle, values = closed(np.array([350.0, 10, 20, 30, 340]), np.arange(5.0))
    assert np.isnan(values[(angle > 30) & (angle < 340)]).all()
    assert np.interp(0.0, angle, values) == pytest.approx(0.5)


def test_grey_is_where_there_is_no_value(both):
    figure = plot(both.sel(lat=slice(90, 0)))
    assert any("grey: no value" in axes.get_ylabel() for axes in figure.axes)
    assert not any("grey" in axes.get_ylabel() for axes in plot(both).axes)


@pytest.mark.parametrize(
    "change, words",
    [
        (lambda b: b.drop_vars(["lat", "tokens"]), "density has no coordinate lat"),
        (lambda b: b.rename(lat="latitude").drop_vars("tokens"), r"density has dimensions \(.*latitude"),
        (lambda b: b.isel(lat=5).drop_vars("tokens"), "density is a section at one latitude"),
        (lambda b: b.mean("lat").drop_vars("tokens"), "no density on the circle|far from 1"),
        (lambda b: b[["density"]].mean("lat"), "mass on the circle that is far from 1"),
        (lambda b: b[["density"]].assign_coords(lat=np.radians(b.lat), lon=np.radians(b.lon)), "seem to be radians"),
        (lambda b: b[["density"]].astype(str), "density holds no real numbers"),
        (lambda b: b[["density"]] * np.nan, "density has no finite number"),
        (lambda b: b.isel(depth_time=slice(0, 0)), "no records yet"),
        (lambda b: b.assign_coords(depth_time=b.depth_time * np.nan), "depth_time must hold finite numbers"),
    ],
)
def test_what_cannot_be_drawn_is_refused_with_its_cause(both, change, words):
    for use in (plot, lambda file: page(file, "f.nc")):
        bare = change(both).drop_vars(["mean_overlap", "moment_defect", "moment_error", "local_error", "spectral_tail",
                                       "tokens_mean_overlap", "coupled_rms", "w2_chordal", "w2_floor", "w1_geodesic",
                                       "w1_floor"], errors="ignore")  # fmt: skip
        with pytest.raises(ValueError, match=words):
            use(bare)


def test_panels_are_those_that_the_file_can_fill(both):
    assert [a.get_ylabel()[:12] for a in plot(both.drop_vars("tokens_mean_overlap")).axes if a.lines and a.get_ylabel()]
    assert not [axes for axes in plot(both[["density"]]).axes if "overlap" in axes.get_ylabel()]
    curves = plot(both.drop_vars(["density", "tokens"]))
    assert {axes.get_ylabel()[:4] for axes in curves.axes} == {"mean", "dist", "cert"}
    half = followed(both).drop_vars("entropy")
    assert panel(plot(half), "Lyapunov")
    assert not [axes for axes in plot(half).axes if "entropy" in axes.get_ylabel()]
    assert "density not drawn: it has no coordinate lat" in texts(plot(both.drop_vars("lat")))


def test_density_and_tokens_without_a_curve_are_drawn(both):
    """Refused once: neither overlap nor distances could be drawn below the spheres."""
    assert len(plot(both[["density", "tokens"]]).axes) > 3


def test_a_record_without_its_depth_is_counted(both):
    for file, title in ((both.mean("depth_time"), "record 1"), (both.sel(depth_time=0.1), "depth 0.1")):
        assert titles(plot(file)) == [title]
    figure = plot(both.drop_vars("depth_time"))
    assert titles(figure) == ["record 1", "record 2", "record 3"]
    assert panel(figure, "mean overlap").get_xlabel() == "record (number)"


def test_a_choice_of_tokens_is_not_called_all_of_them(both):
    lines = panel(plot(both.isel(token=slice(0, 5))), "mean overlap").lines
    assert [line.get_label() for line in lines] == ["density", "tokens"]
    file = tokens_of(3, n=30).isel(token=slice(0, 5))
    drawn = panel(plot(file), "mean overlap").lines[0].get_ydata()
    np.testing.assert_allclose(drawn, (file["tokens"].mean("token") ** 2).sum("component"), atol=1e-12)


def test_records_are_read_by_the_names_of_their_dimensions():
    file = density_file(3, lat=LAT[::4], lon=LON[::4]).transpose("lon", "depth_time", "lat", ...)
    found, _ = held(file)
    second = file["density"].isel(depth_time=1).transpose("lat", "lon")
    np.testing.assert_array_equal(record(found, "density", 1), second)
    assert found["second_moment"].dims == ("depth_time", "component", "component2")


def test_summaries_go_by_names_in_any_order():
    radius = np.random.default_rng(0).random((3, 5))
    file = xr.Dataset(
        {"radius": (("depth_time", "token"), radius), "mass": ("depth_time", [1.0, 2, 3])}, {"depth_time": [0, 1, 2.0]}
    )
    want = [("mass", (1.0, 3.0, 3.0)), ("radius", tuple(np.sqrt((radius**2).mean(1))[[0, 2]]))]
    for changed in (file, file.transpose("token", "depth_time"), file.isel(depth_time=[2, 0, 1])):
        got = {name: numbers for name, _, numbers in summaries(changed)}
        assert got["mass"] == want[0][1]
        np.testing.assert_allclose(got["radius"][:2], want[1][1])


def test_info_on_members_together(tmp_path, capsys):
    """The files of an ensemble opened together and written: means over members, not over depth."""
    members = [followed(density_file(3, kappas=[1.0, 2, 3 + k], lat=LAT[::6], lon=LON[::6])) for k in range(3)]
    files = [tmp_path / f"{k}.nc" for k in range(3)]
    for k, (member, file) in enumerate(zip(members, files, strict=True)):
        in_realization(member, k).to_netcdf(file)
    with xr.open_mfdataset(files, data_vars="minimal", coords="minimal", compat="override") as together:
        together.transpose("depth_time", ...).to_netcdf(tmp_path / "together.nc")
    capsys.readouterr()
    assert call("info", tmp_path / "together.nc") == 0
    said = capsys.readouterr().out
    overlap = np.array([member["mean_overlap"].values for member in members])
    row = next(line for line in said.splitlines() if line.startswith("mean_overlap")).split()[1:4]
    want = overlap[:, 0].mean(), overlap[:, -1].mean(), overlap.max()
    assert row == [f"{value:.4g}" for value in want]
    assert "3 realizations: first and last are means over them" in said
    assert call("plot", tmp_path / "together.nc", "--out", tmp_path / "x.png") == 2
    assert "3 realizations" in capsys.readouterr().err


EVIL = "\x1b]0;title\x07\x1b[2J\u202eabc\r\n\x9b1mnew line"


def test_what_moves_a_cursor_is_shown_as_text(tmp_path, capsys):
    """In the text of a file and in its name, on both ends of the output."""
    file = tmp_path / "a\x1b[31mb.nc"
    dataset = density_file(2, lat=LAT[::6], lon=LON[::6])
    dataset = dataset.assign_attrs(title=EVIL, seed=EVIL, configuration="a = 1\n\x1b[2J")
    dataset.to_netcdf(file)
    assert call("info", file) == 0
    assert call("plot", file, "--out", tmp_path / "x.odd") == 2
    assert call("report", tmp_path / "no\x1b[1m.nc") == 2
    said = capsys.readouterr()
    for text in said:
        assert not [c for c in text if not c.isprintable() and c != "\n"]
    assert r"\x1b]0;title\x07" in said.out
    assert r"no\x1b[1m.nc: no such file" in said.err
    assert "\x1b" not in page(dataset, file.name)


def test_numbers_with_units_of_time_stay_numbers(tmp_path):
    file = density_file(2, lat=LAT[::6], lon=LON[::6])
    file["depth_time"].attrs["units"] = "days since 2000-01-01"
    file.to_netcdf(tmp_path / "f.nc")
    with opened(tmp_path / "f.nc") as dataset:
        assert "depth time: 0 to 0.1 in 2 records" in map(str, describe(dataset, tmp_path / "f.nc"))
        assert titles(plot(dataset)) == ["depth 0", "depth 0.1"]


CONFIGURATIONS = (
    "model = 5", '[model]\nd = "x"\nbeta = "y"', "[model]\nd = 3", "[layers]\nkind = 5\ndt = true", "a =", "[" * 3000,
    "[model]\nd = 3\nbeta = nan", "x = " + "9" * 5000, "heads = [1, 2]\n[layers]\nkind = 1979-05-27", "\x00",
    '[layers]\nkind = "recorded"\nprivate_noise = "x"', "[model]\nd = 3\nbeta = [1, 2]\nattention = {a = 1}",
)  # fmt: skip


def test_what_a_file_says_of_its_run_may_be_anything():
    """Structure that no run writes: sections that are none, attributes of other kinds."""
    tokens = worked.token_file(np.random.default_rng(0))
    odd = [{"configuration": text} for text in CONFIGURATIONS]
    odd += [{name: value} for name in ("title", "beta", "seed") for value in (np.arange(3), np.nan, "", b"x")]
    with worked.small():
        for attrs in odd:
            for use in (worked.tell, worked.page):
                assert worked.loss(use, tokens.assign_attrs(attrs))[0] == ""
        for value in (np.arange(3), np.nan, "x"):
            layers = worked.layers_file(np.random.default_rng(0)).assign_attrs(beta=value)
            assert worked.loss(worked.draw, layers)[0] == ""


def test_a_variable_that_cannot_be_read_is_left_out(tmp_path, capsys):
    """Text where a factor should be; a value that a type cannot hold."""
    file = tmp_path / "f.nc"
    density_file(2, lat=LAT[::6], lon=LON[::6]).to_netcdf(file)
    with netCDF4.Dataset(file, "a") as raw:
        raw["mean_overlap"].setncattr("scale_factor", "x")
        raw["moment_defect"].setncattr("units", "hours")
    with opened(file) as dataset, worked.small():
        figure = plot(dataset)
        assert page(dataset, "f.nc")
    assert len(titles(figure)) == 2
    assert not [axes for axes in figure.axes if "overlap" in axes.get_ylabel()]
    assert call("info", file) == 0
    assert "variable mean_overlap cannot be read (" in capsys.readouterr().out
