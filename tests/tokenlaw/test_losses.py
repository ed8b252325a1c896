"""Losses that fuzzing found, each as the smallest input that showed it."""

import netCDF4
import numpy as np
import pytest

from particles import Uniform
from particles.retraction import normalize
from spde import Density, SeriesLaw, Sphere, unit_sphere
from spde.files.read import read_density
from tests.fuzz.files import closure_content, density_content, heads_content
from tests.tokenlaw.calls import HOMOGENIZED, TRANSFORMER, call

BALLISTIC = 'layers={kind="ballistic", dt=0.05, t_end=0.1}'
MODIFIED = 'layers={kind="modified", dt=0.05, t_end=0.1, eta=0.1}'
MEAN = "heads.mean_v=[[1,0,0],[0,1,0],[0,0,1]]"


@pytest.fixture
def folder(tmp_path, monkeypatch):
    (tmp_path / "h.toml").write_text(HOMOGENIZED)
    (tmp_path / "t.toml").write_text(TRANSFORMER)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def refused(capsys, *words):
    """The line a command is refused with; nothing is left behind."""
    assert call(*words, "--out", "out.nc", "-q") == 2
    (line,) = capsys.readouterr().err.splitlines()
    return line


@pytest.mark.parametrize("layers", [BALLISTIC, MODIFIED])
@pytest.mark.parametrize("command", ["solve", "compare"])
def test_characteristics_of_steps_without_one_velocity_are_taken(layers, command, folder):
    """Were refused, and that after the first record was written, without a key."""
    words = ["--set", layers, "--set", MEAN, "--set", "solve.characteristics=true"]
    assert call(command, "h.toml", "--out", "out.nc", "-q", *words) == 0


def test_a_refusal_to_record_names_the_option(folder, capsys):
    line = refused(capsys, "simulate", "t.toml", "--record-layers", "l.nc", "--set", "layers.mlp.width=4")
    assert line.startswith("error: --record-layers l.nc: layer 0 is (AttentionPush, FieldPush); only single")


def test_a_step_beyond_the_range_of_numbers_makes_no_zero_token(folder, capsys):
    """x + U of length 1e300 was divided by infinity: tokens at the origin, exit code 0."""
    assert np.isnan(normalize(np.array([[1.0, 0.0]]), np.array([[1e300, 0.0]]))).all()
    content = heads_content(np.random.default_rng(0))
    content.variables["value"].values = content.variables["value"].values * 1e300
    content.write(folder / "heads.nc")
    words = ["--set", 'heads={kind="fixed", file="heads.nc"}', "--set", "simulate.tokens=3"]
    for command, what in (("simulate", "tokens are"), ("solve", "state is")):
        assert call(command, "t.toml", "--out", "out.nc", "-q", *words) == 3
        assert f"stopped: the {what} no longer finite" in capsys.readouterr().err


@pytest.mark.parametrize("override", ["{key}=1", "model.{key}=1", "model.d.{key}=1", "{key}.x.y=1"])
def test_a_key_of_any_length_is_told_shortly(override, folder, capsys):
    """A refusal had as many characters as the key."""
    line = refused(capsys, "simulate", "t.toml", "--set", override.format(key="k" * 5000))
    assert "kkk..." in line
    assert len(line) < 250


@pytest.mark.parametrize("words", [["x" * 5000], ["--" + "x" * 5000]])
def test_a_word_of_any_length_is_told_shortly(words, folder, capsys):
    """So had the refusal of a word of the command line."""
    line = refused(capsys, "simulate", "t.toml", *words)
    assert "xxx..." in line
    assert len(line) < 300


def test_rounding_of_a_fine_quadrature_is_no_concentration(monkeypatch):
    """Uniform tokens with 1000 x 2000 carried nodes were refused: the sum over 8 million nodes is off by 2e-13."""
    monkeypatch.setattr("spde.density.MASS_TOLERANCE", -1.0)  # as if no sum were good enough
    assert Density.from_law(Uniform(3), Sphere(8), (8, 16)).mass == pytest.approx(1, abs=1e-12)


def density_file(path, change=lambda values: values):
    content = density_content(np.random.default_rng(0))
    content.variables["coefficients"].values = change(content.variables["coefficients"].values)
    content.write(path)
    return path


@pytest.mark.parametrize("mass", [0.5, 4.0, 2.0**-1000])
def test_tokens_of_a_density_of_any_mass_are_those_of_mass_one(mass, tmp_path):
    """The bound of the rejection sampling was that of the file's mass: below 1 the law was another one."""
    one, other = (read_density(density_file(tmp_path / "d.nc", lambda values, m=m: m * values)) for m in (1.0, mass))
    samples = [law.sample(np.random.default_rng(1), 50) for law in (one, other)]
    assert np.array_equal(*samples)


def test_the_sample_of_a_series_follows_it():
    """Density (1 + 0.9 x_3)/4 pi scaled to mass 1/2: mean of x_3 0.3, which half the bound would make smaller."""
    a = np.zeros(6, dtype=complex)
    a[0], a[1] = 0.5 * (4 * np.pi) ** -0.5, 0.5 * 0.9 * (12 * np.pi) ** -0.5
    points = SeriesLaw(a, Sphere(2)).sample(np.random.default_rng(2), 40_000)
    error = (1 / 3 - 0.09) ** 0.5 / 200
    assert abs(points[:, 2].mean() - 0.3) < 4 * error


def _put(index, value):
    def change(values):
        values = values.copy()
        values[(0, *index)] = value
        return values

    return change


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (_put((3, 0), 1e150), "the density is negative somewhere"),
        (_put((3, 0), 0.5), "the density is negative somewhere"),
        (_put((0, 0), 1e308), "the mass of the density must be positive and finite, got inf"),
        (_put((0, 0), -0.1), "the mass of the density must be positive and finite, got -0.354491"),
        (_put((1, 1), 0.1), "coefficients of order 0 must have no imaginary part"),
        (_put((1, 1), np.nan), "coefficients must be finite, got NaN or infinity"),
        (lambda values: values[:, :-1], r"sh_degree must have the dimensions \(mode\), got \(sh_degree_mode = 10\)"),
        (lambda values: values[:0], "coefficients must have at least one record"),
    ],
)
def test_what_is_no_density_is_refused_before_it_is_sampled(change, told, tmp_path):
    """A density negative beyond truncation was sampled without end, or as another law."""
    with pytest.raises(ValueError, match=told):
        read_density(density_file(tmp_path / "d.nc", change))


def test_a_peak_beyond_its_degree_is_refused_on_the_circle_too():
    """A density of degree L is at most (2 L + 1)/2 pi, and the kernel that reaches it is negative."""
    sphere = unit_sphere(2, 6)
    kernel = np.ones(7, dtype=complex) / np.sqrt(2 * np.pi)
    with pytest.raises(ValueError, match="negative somewhere"):
        SeriesLaw(kernel, sphere).check()  # the Dirichlet kernel is negative
    fejer = kernel * (1 - np.arange(7) / 7)
    SeriesLaw(fejer, sphere).check()


@pytest.mark.parametrize(
    ("value", "told"),
    [(0.5, "must hold a"), (np.nan, "must hold a"), (1e300, "must hold a"), (-1.0, "and sh_order must run")],
)
def test_degrees_that_are_no_numbers_of_modes_are_refused(value, told, tmp_path):
    content = density_content(np.random.default_rng(0))
    numbers = np.array(content.variables["sh_degree"].values, dtype=float)
    numbers[2] = value
    content.variables["sh_degree"].values, content.variables["sh_degree"].kind = numbers, "<f8"
    content.write(tmp_path / "d.nc")
    with pytest.raises(ValueError, match=rf"d\.nc: sh_degree {told}"):
        read_density(tmp_path / "d.nc")


def test_a_file_whose_attributes_are_damaged_is_told(folder, capsys):
    """`tokenlaw info` of a damaged file was an AttributeError of the library."""
    call("simulate", "t.toml", "--out", "out.nc", "-q")
    content = bytearray((folder / "out.nc").read_bytes())
    at = content.find(b"configuration\0")
    for k in range(0, len(content) - at, 7):
        broken = content.copy()
        broken[at + k] ^= 0xFF
        (folder / "x.nc").write_bytes(broken)
        assert call("info", "x.nc") in (0, 2)
        if k > 200:
            break
    assert "Traceback" not in capsys.readouterr().err


def test_a_closure_beyond_the_range_of_numbers_is_refused_in_one_line(folder, capsys):
    """Warnings of numpy stood above the refusal."""
    content = closure_content(np.random.default_rng(0))
    for name in ("covariance", "K"):
        values = np.array(content.variables[name].values)
        values[0, 0] = 1e300
        content.variables[name].values = values
    content.write(folder / "g.nc")
    assert call("theory", "gaussian-closure", "attention=softmax", "file=g.nc") == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: theory gaussian-closure: g.nc: ")


def test_a_format_without_groups_is_read(tmp_path):
    """NetCDF 3 as well."""
    content = density_content(np.random.default_rng(0))
    content.form = "NETCDF3_CLASSIC"
    for variable in content.variables.values():
        variable.kind = variable.kind.replace("i8", "i4")
    content.write(tmp_path / "d.nc")
    with netCDF4.Dataset(tmp_path / "d.nc") as file:
        assert file.data_model == "NETCDF3_CLASSIC"
    assert read_density(tmp_path / "d.nc").mass == pytest.approx(1)
