"""How the command and the packages start: what is loaded, by which name, with whose settings, beside whose packages."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import dask
import pytest
import xarray as xr
from threadpoolctl import threadpool_info, threadpool_limits

import tokenlaw
from particles.files import checksum
from tests.tokenlaw.calls import COMMAND, HOMOGENIZED, call
from tokenlaw import files
from tokenlaw.answers import converge, predict, theory, validate
from tokenlaw.config.read import ConfigError
from tokenlaw.ensemble import cluster
from tokenlaw.ensemble import member as members
from tokenlaw.ensemble.dask_settings import fitting
from tokenlaw.observe import record as observed
from tokenlaw.runs import run as runs

ROOT = Path(__file__).parents[3]
MODULE = [sys.executable, "-m", "tokenlaw"]


def outcome(words, folder=None, **environment):
    """Exit code and last line of stderr of a process, and that it is the only one where it failed in words."""
    clean = {key: value for key, value in os.environ.items() if not key.startswith(("PYTHON", "DASK_"))}
    found = subprocess.run(words, cwd=folder, env=clean | environment, capture_output=True, text=True, check=False)
    lines = found.stderr.splitlines() or [""]
    assert found.returncode != 2 or len(lines) == 1, found.stderr
    return found.returncode, lines[-1]


def test_the_packages_load_no_more_than_they_need():
    """xarray, and the parts of scipy, are loaded where they are used."""
    heavy = "xarray", "pandas", "matplotlib", "dask", "scipy.stats", "scipy.special", "scipy.linalg", "scipy.integrate"
    code = f"import particles, sys; sys.exit(' '.join(name for name in {heavy} if name in sys.modules) or 0)"
    assert outcome([sys.executable, "-c", code]) == (0, "")


@pytest.mark.parametrize(
    ("words", "heavy"),
    [
        ("--version", {"numpy", "particles", "xarray", "pydantic"}),
        ("--help", {"numpy", "particles", "xarray", "pydantic"}),
        ("config --defaults", {"numpy", "particles", "xarray", "dask"}),
        ("theory --list", {"particles", "xarray", "dask"}),
    ],
)
def test_what_is_only_said_loads_no_package(words, heavy):
    code = (
        f"import sys; from tokenlaw.commands import app; app.run({words.split()!r});"
        f"sys.exit(' '.join({heavy!r} & set(sys.modules)) or 0)"
    )
    assert outcome([sys.executable, "-c", code]) == (0, "")


WORK = {
    "solve c.toml --out f.nc": (runs, "execute"),
    "simulate c.toml --out f.nc": (runs, "execute"),
    "compare c.toml --out f.nc": (runs, "execute"),
    "ensemble c.toml --members 2 --out e": (members, "plan"),
    "converge c.toml --vary simulate.tokens=2,4,8,16 --observable mean_overlap": (converge, "converge"),
    "plot f.nc --out f.png": (files, "opened"),
    "report f.nc": (files, "opened"),
    "info f.nc": (files, "opened"),
    "validate L1 --out v": (validate, "execute"),
    "predict --preset gpt2": (predict, "answer"),
    "theory values-only d=3 beta=1 u0=0": (theory, "evaluate"),
    "observe . --ids f.nc --out o.nc": (observed, "observe"),
}


@pytest.mark.parametrize("words", WORK)
def test_every_command_holds_its_linear_algebra_to_one_thread(words, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("c.toml").write_text(HOMOGENIZED)
    xr.Dataset({"x": 1.0}).to_netcdf("f.nc")
    seen = []

    def work(*_, **__):
        seen.extend(library["num_threads"] for library in threadpool_info() if library["user_api"] == "blas")
        raise ConfigError("enough")

    monkeypatch.setattr(*WORK[words], work)
    with threadpool_limits(2, user_api="blas"):
        before = [library["num_threads"] for library in threadpool_info()]
        assert call(*words.split()) == 2
        assert [library["num_threads"] for library in threadpool_info()] == before
    assert seen
    assert set(seen) == {1}


# --- by which name


def test_the_module_is_the_command(tmp_path):
    assert outcome([*MODULE, "--version"], tmp_path) == (0, "")
    code, line = outcome([*MODULE, "solve", "missing.toml", "--out", "f.nc"], tmp_path)
    assert (code, line[:20]) == (2, "error: missing.toml:")


# --- beside whose packages


@pytest.mark.parametrize("shadow", ["validation.py", "particles/__init__.py", "spde/data.csv"])
@pytest.mark.parametrize("way", ["working folder", "PYTHONPATH"])
def test_a_package_that_hides_ours_is_one_line(shadow, way, tmp_path):
    (tmp_path / shadow).parent.mkdir(exist_ok=True)
    (tmp_path / shadow).touch()
    found = tmp_path / shadow.partition("/")[0]
    name = found.stem
    helps = "rename it, or start from another folder"
    environment = {}
    if way == "PYTHONPATH":
        helps, environment = f"take {tmp_path} out of PYTHONPATH, or rename it", {"PYTHONPATH": str(tmp_path)}
    text = f"{found} hides the package {name!r} of tokenlaw ({ROOT / name}); {helps}"
    assert outcome([*MODULE, "--version"], tmp_path, **environment) == (2, f"error: {text}")
    assert outcome([sys.executable, "-c", "import tokenlaw"], tmp_path, **environment) == (1, f"ImportError: {text}")
    if way == "PYTHONPATH":
        command = Path(sys.executable).with_name("tokenlaw")
        assert outcome([command, "--version"], **environment) == (2, f"error: {text}")


def test_a_package_below_that_is_hidden_is_named(tmp_path):
    (tmp_path / "particles.py").touch()
    code, line = outcome([sys.executable, "-c", "from spde import solve"], tmp_path)
    assert code == 1
    assert line.startswith(f"ImportError: 'particles' found in {tmp_path} hides the package of tokenlaw (")


def test_another_distribution_is_named(monkeypatch):
    place = Path("/somewhere/site-packages/particles")
    monkeypatch.setattr(tokenlaw, "_found", lambda name: place)
    monkeypatch.setattr("importlib.metadata.packages_distributions", lambda: {"particles": ["particles", "tokenlaw"]})
    with pytest.raises(ImportError, match=r"hides .*; uninstall particles, or install tokenlaw in an environment of"):
        tokenlaw._check_own_packages(ROOT)


def test_a_distribution_that_wrote_over_ours_is_found(tmp_path, monkeypatch):
    for name in tokenlaw.OWN:
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_bytes((ROOT / name / "__init__.py").read_bytes())
    monkeypatch.setattr(tokenlaw, "_found", lambda name: tmp_path / name)
    tokenlaw._check_own_packages(tmp_path)
    (tmp_path / "particles" / "__init__.py").write_text('"""Sequential Monte Carlo."""')
    with pytest.raises(ImportError, match=r"another distribution wrote over .*particles; "):
        tokenlaw._check_own_packages(tmp_path)


# --- with whose settings of Dask


def test_a_file_of_settings_that_is_no_yaml(tmp_path):
    (tmp_path / "bad.yaml").write_text("a: [1\nb: {")
    code, line = outcome([*COMMAND, "info", "f.nc"], DASK_CONFIG=str(tmp_path))
    assert code == 2
    assert line.startswith("error: Dask does not start with the settings that it finds (ValueError: A dask config file")
    assert line.endswith(f"look into the variables DASK_CONFIG and the files of {tmp_path}")


def test_a_setting_that_cannot_be_imported_with(tmp_path):
    (tmp_path / "c.toml").write_text(HOMOGENIZED)
    words = [*COMMAND, "solve", "c.toml", "--out", "f.nc", "-q"]
    code, line = outcome(words, tmp_path, DASK_DISTRIBUTED__LOGGING__DISTRIBUTED="loud")
    assert code == 2
    assert "look into the variables DASK_DISTRIBUTED__LOGGING__DISTRIBUTED and" in line
    assert not (tmp_path / "f.nc").exists()


@pytest.mark.parametrize("scheduler", ["nonsense", "distributed"])
def test_arrays_are_given_to_no_scheduler_of_the_user(scheduler, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("c.toml").write_text(HOMOGENIZED)
    with dask.config.set(scheduler=scheduler):
        assert call("simulate", "c.toml", "--out", "f.nc", "-q") == 0


def test_a_cluster_that_does_not_start(monkeypatch):
    """What failed within is told, not where."""

    def embedded(n_workers):
        try:
            raise ValueError("Invalid time unit: zz")
        except ValueError:
            raise RuntimeError("Cluster failed to start.")  # noqa: B904

    monkeypatch.setattr(cluster, "_embedded", embedded)
    monkeypatch.setenv("DASK_DISTRIBUTED__SCHEDULER__IDLE_TIMEOUT", "zz")
    with pytest.raises(ConfigError, match=r"\(ValueError: Invalid time unit: zz\); look into .*IDLE_TIMEOUT and the f"):
        cluster.workers(None, 1).__enter__()


def test_settings_that_fit_are_left_alone():
    with dask.config.set(scheduler="threads"):
        with fitting():
            assert dask.config.get("scheduler") == "synchronous"
        assert dask.config.get("scheduler") == "threads"
    with pytest.raises(ImportError):
        fitting("dask.nothing").__enter__()


# --- and is interrupted, or heard by nobody


@pytest.mark.parametrize(
    ("module", "number"),
    [
        ("tokenlaw.commands.app", signal.SIGTERM), ("typer", signal.SIGINT), ("tokenlaw.tables", signal.SIGHUP),
        ("xarray", signal.SIGINT),
    ],
)  # fmt: skip
def test_an_interrupt_while_modules_are_loaded_is_one_line(module, number, tmp_path):
    """It comes just before the given one is."""
    xr.Dataset({"x": 1.0}).to_netcdf(tmp_path / "f.nc")
    code = f"""
import signal, sys
class Interrupting:
    def find_spec(self, name, *_):
        if name == {module!r}:
            sys.meta_path.remove(self)
            signal.raise_signal({int(number)})
sys.argv = ["tokenlaw", "info", "f.nc"]
sys.meta_path.insert(0, Interrupting())
signal.signal(signal.SIGINT, signal.default_int_handler)
for number in (signal.SIGTERM, signal.SIGHUP):
    signal.signal(number, signal.SIG_DFL)
from tokenlaw.commands.app import main
main()
"""
    found = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (found.returncode, found.stderr) == (130, "interrupted\n")


def test_workers_keep_their_own_ways_with_interrupts():
    code = (
        "import multiprocessing.spawn, signal, sys; sys.argv = ['tokenlaw']; import tokenlaw;"
        "sys.exit(signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL)"
    )
    assert outcome([sys.executable, "-c", code]) == (0, "")


@pytest.mark.parametrize(
    ("words", "closed"),
    [
        ("info f.nc", "<&- >&- 2>&-"),
        ("simulate c.toml --out o.nc", "2>&-"),
        ("converge c.toml --vary simulate.tokens=2,4,8,16 --observable mean_overlap", ">&- 2>/dev/full"),
    ],
)
def test_closed_streams_end_nothing(words, closed, tmp_path):
    (tmp_path / "c.toml").write_text(HOMOGENIZED)
    xr.Dataset({"x": 1.0}).to_netcdf(tmp_path / "f.nc")
    command = f"exec {sys.executable} -m tokenlaw {words} {closed}"
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}  # streams keep what fails
    environment = kept | {"PYTHONPATH": str(ROOT)}
    assert subprocess.run(["sh", "-c", command], cwd=tmp_path, env=environment, check=False).returncode == 0
    if "o.nc" in words:
        assert checksum.intact(tmp_path / "o.nc")
