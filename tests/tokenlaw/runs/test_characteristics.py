"""solve.characteristics: from the configuration to files, text and pictures."""

from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from tests.tokenlaw.calls import HOMOGENIZED, call, tokens_file
from tests.tokenlaw.pictures.test_plots import density_file, followed
from tokenlaw.pictures.paper import plot

EXAMPLE = Path(__file__).parents[3] / "examples" / "characteristics.toml"
ADDED = {
    "node": ("depth_time", "node", "component"),
    "node_weight": ("node",),
    "node_log_density": ("depth_time", "node"),
    "entropy": ("depth_time",),
    "area_defect": ("depth_time",),
    "lyapunov": ("depth_time", "exponent"),
    "folds": ("depth_time",),
}


@pytest.fixture(autouse=True)
def _folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "c.toml").write_text(HOMOGENIZED)
    (tmp_path / "on.toml").write_text(HOMOGENIZED.replace("lmax = 12", "lmax = 12\ncharacteristics = true"))


def test_the_example_runs(capfd):
    """Collapse beyond what lmax resolves; the carried nodes go on, and their areas say how well."""
    assert call("solve", EXAMPLE, "--out", "run.nc", layers__t_end=3.0) == 0
    assert "not resolved at depth time 2.5" in capfd.readouterr().err
    assert call("info", "run.nc") == 0
    told = capfd.readouterr().out
    assert call("plot", "run.nc", "--out", "run.png") == 0
    with xr.open_dataset("run.nc") as run:
        assert run.unresolved.values[-1]
        assert run.area_defect.values[-1] < 0.02
        assert run.entropy.values[-1] < -0.3
        assert np.exp(run.node_log_density.values[-1].max()) > run.density.values[-1].max()
        assert (run.lyapunov.values[-1] < -0.3).all()
        for name in ("entropy", "area_defect", "folds"):
            line = next(line for line in told.splitlines() if line.startswith(name))
            assert float(line.split()[2]) == pytest.approx(float(run[name][-1]), rel=1e-3)


@pytest.mark.parametrize("command", ["solve", "compare"])
def test_files_hold_them_and_runs_resume(command):
    """Three layers, then three more, is six; everything else is as without characteristics (linear: direct sums)."""
    linear = {"model__attention": '"linear"'}
    assert call(command, "on.toml", "--out", "two.nc", "-q", layers__t_end=0.06, **linear) == 0
    assert call(command, "on.toml", "--out", "two.nc", "-q", "--resume", **linear) == 0
    assert call(command, "on.toml", "--out", "one.nc", "-q", **linear) == 0
    assert call(command, "c.toml", "--out", "off.nc", "-q", **linear) == 0
    with xr.open_dataset("one.nc") as one, xr.open_dataset("two.nc") as two, xr.open_dataset("off.nc") as off:
        assert {name: one[name].dims for name in ADDED} == ADDED
        assert set(one.variables) == set(off.variables) | set(ADDED)
        for name in ADDED:
            assert one[name].identical(two[name]), name
        assert np.array_equal(one.mean_token.values, off.mean_token.values)
        assert one.entropy.values[0] != one.entropy.values[-1]


def test_a_file_without_them_is_not_resumed_with_them(capfd):
    assert call("solve", "c.toml", "--out", "one.nc", "-q") == 0
    assert call("solve", "on.toml", "--out", "one.nc", "-q", "--resume") == 2
    assert "the configuration differs in solve.characteristics" in capfd.readouterr().err


def test_tokens_as_the_density_are_refused(capfd):
    tokens_file("t.nc")
    tokens = 'initial={kind="tokens",file="t.nc"}'
    assert call("solve", "on.toml", "--out", "one.nc", "--set", tokens) == 2
    told = capfd.readouterr().err
    assert told == "error: solve.characteristics = true: needs an initial density; tokens have none\n"
    assert call("simulate", "on.toml", "--out", "one.nc", "--set", tokens) == 0  # which has no use for them


def test_pictures_have_a_row_more():
    """Entropy, exponents and densities are the numbers of the file."""
    logs = np.sort(np.random.default_rng(0).standard_normal((5, 40)), axis=1)
    dataset = followed(density_file(5)).drop_dims("node").assign(
        node_log_density=(("depth_time", "node"), logs), node_weight=("node", np.full(40, 1 / 40))
    )
    entropy, lyapunov = dataset.entropy.values, dataset.lyapunov.values
    figure = plot(dataset)
    axes = {a.get_ylabel().rpartition(" (")[0].strip(): a for a in figure.axes}
    without = dataset.drop_vars(["entropy", "lyapunov", "node_log_density"])
    plain = {a.get_ylabel().rpartition(" (")[0].strip() for a in plot(without).axes}
    assert set(axes) - plain == {"entropy −∫ρ log ρ", "Lyapunov exponents", "density at the mass"}
    lines = {label: dict((line.get_label(), line) for line in a.lines) for label, a in axes.items()}
    drawn = [line for line in axes["entropy −∫ρ log ρ"].lines if len(line.get_ydata()) == 5]
    assert np.array_equal(drawn[0].get_ydata(), entropy)
    assert np.array_equal(lines["Lyapunov exponents"]["λ₂"].get_ydata(), lyapunov[1:, 1])
    mass = lines["density at the mass"]
    assert np.allclose(mass["largest, nodes"].get_ydata(), np.exp(logs[:, -1]))
    assert np.allclose(mass["lowest tenth"].get_ydata(), np.exp(logs[:, 3]))  # four of forty
    assert np.allclose(mass["median"].get_ydata(), np.exp(logs[:, 19]))
    assert np.allclose(mass["largest, grid"].get_ydata(), dataset.density.max(("lat", "lon")))
