"""layers.kind = "equation": every term from the configuration, resuming, refusals, functions by leave only."""

import hashlib
import json
import re
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from particles import Noise, Tokens, VonMisesFisherMixture, simulate
from particles.equations import (
    Dot,
    Equation,
    Exponential,
    Function,
    Gradient,
    Isotropic,
    Kicks,
    Legendre,
    MaierSaupe,
    OfOverlap,
    Pull,
    Rotation,
    Rotations,
    VectorFields,
    Zonal,
    stratonovich,
)
from tests.tokenlaw.calls import assert_same, call
from tokenlaw.config.read import ConfigError, dumps, load, load_text
from tokenlaw.runs.build import build
from tokenlaw.runs.functions import Unread, functions_of
from tokenlaw.runs.run import solve_job

BASE = """
[model]
d = 3
[layers]
kind = "equation"
dt = 0.02
t_end = 0.12
{more}
[initial]
kind = "von_mises_fisher"
components = [{{mean = [0.0, 0.0, 1.0], kappa = 1.0}}]
[solve]
lmax = 12
[simulate]
tokens = 6
[noise]
seed = 7
[output]
save_every = 0.1
distances = 100
"""
DOT = 'drift = [{kind = "zonal", kernel = "dot", strength = 2.0}]'
NOISY = DOT + '\nprivate_noise = 0.1\ncommon_noise = [{kind = "kicks", strength = 0.3}]\n'
KICKED = '[{kind = "kicks", strength = 2.0}]'
WIND = """
import pathlib
import numpy as np

with open(pathlib.Path(__file__).with_name("ran"), "a") as ran:
    ran.write("ran ")


def wind(points, measure):
    return np.cross(measure.weights @ measure.points, points)


def w(t):
    return np.sin(2 * t)


def flat(points, measure):
    return points[:, 0]


def broken(points, measure):
    return 1 / 0


def endless(points, measure):
    return points * np.inf


number = 3
"""
PYTHON = """drift = [{kind = "zonal", kernel = "python", function = "own:w"}, {kind = "python", function = "own:wind"}]
common_noise = [{kind = "python", function = "own:wind"}]
interpretation = "stratonovich"
"""


@pytest.fixture(autouse=True)
def _folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("c.toml").write_text(BASE.format(more=NOISY))
    Path("f.toml").write_text(BASE.format(more=PYTHON))
    Path("own.py").write_text(WIND)


def law(more, d=3, functions=None):
    text = BASE.format(more=more).replace("d = 3", f"d = {d}")
    if d == 2:
        text = text.replace("[0.0, 0.0, 1.0]", "[0.0, 1.0]")
    c = load_text(text)
    assert load_text(dumps(c)) == c
    return build(c, functions_of(functions)).law


def the_same(one, two):
    """One step of both moves tokens alike, to the bit."""
    cloud = VonMisesFisherMixture([1.0], [[1.0] + [0.0] * (one.d - 1)], [1.0])
    start = Tokens(cloud.sample(np.random.default_rng(0), 9))
    first, second = (simulate(start, law, n_steps=2, save_every=1).tokens.values for law in (one, two))
    return np.array_equal(first, second) and np.abs(first[2] - first[0]).max() > 1e-4


@pytest.mark.parametrize(
    ("table", "term"),
    [
        ('kind = "zonal", kernel = "dot", strength = 2.0', Zonal(Dot(2.0))),
        ('kind = "zonal", kernel = "maier_saupe", strength = 3.0', Zonal(MaierSaupe(3.0))),
        ('kind = "zonal", kernel = "exponential", beta = 2.0', Zonal(Exponential(2.0))),
        ('kind = "zonal", kernel = "exponential", beta = 2.0, strength = -1.0', Zonal(Exponential(2.0, -1.0))),
        ('kind = "zonal", kernel = "legendre", coefficients = [0, 1, 0.5]', Zonal(Legendre((0, 1, 0.5)))),
        ('kind = "zonal", kernel = "python", function = "own:w"', Zonal(OfOverlap(lambda t: np.sin(2 * t)))),
        ('kind = "gradient", axis = [0, 0, 2.0]', Pull([0, 0, 2.0])),
        ('kind = "gradient", coefficients = [0, 1, [0.5, 2]]', Gradient([0, 1, 0.5 + 2j])),
        ('kind = "rotation", axis = [0, 1, 2.0]', Rotation.about([0, 1, 2.0])),
        ('kind = "python", function = "own:wind"',
         Function(lambda points, measure: np.cross(measure.weights @ measure.points, points))),
    ],
)  # fmt: skip
def test_drifts(table, term, tmp_path):
    assert the_same(law(f"drift = [{{{table}}}]", functions=tmp_path), Equation(3, (term,), 0.02, Noise(7)))


@pytest.mark.parametrize(
    ("table", "term"),
    [
        ('kind = "kicks", strength = 0.3', Kicks(0.3)),
        ('kind = "rotations", strength = 0.3', Rotations(0.3)),
        ('kind = "isotropic", gradient = [0, 0.5], curl = [1.0]', Isotropic((0, 0.5), (1.0,))),
        ('kind = "python", function = "own:wind"',
         VectorFields((lambda points, measure: np.cross(measure.weights @ measure.points, points),))),
    ],
)  # fmt: skip
def test_common_noise(table, term, tmp_path):
    found = law(f'interpretation = "stratonovich"\ncommon_noise = [{{{table}}}]', functions=tmp_path)
    assert the_same(found, Equation(3, (), 0.02, Noise(7), (term,), interpretation=stratonovich))


def test_on_the_circle_a_rotation_has_one_number():
    wanted = Equation(2, (Rotation(np.array([[0.0, -2.0], [2.0, 0.0]])),), 0.02, Noise(7), nu=0.1)
    assert the_same(law('private_noise = 0.1\ndrift = [{kind = "rotation", axis = [2.0]}]', d=2), wanted)


def test_tables_of_their_own_are_the_same_configuration():
    tables = '[[layers.drift]]\nkind = "zonal"\nkernel = "dot"\nstrength = 2.0\n'
    assert load_text(BASE.format(more=tables)) == load_text(BASE.format(more=DOT))


@pytest.mark.parametrize("command", ["solve", "simulate", "compare"])
def test_17_and_23_steps_are_40(command):
    assert call(command, "c.toml", "--out", "two.nc", "-q", layers__t_end=0.34) == 0
    assert call(command, "c.toml", "--out", "two.nc", "-q", "--resume", layers__t_end=0.8) == 0
    assert call(command, "c.toml", "--out", "one.nc", "-q", layers__t_end=0.8) == 0
    assert_same("one.nc", "two.nc")
    with xr.open_dataset("one.nc") as run:
        assert np.abs(run.mean_overlap.values[-1] - run.mean_overlap.values[0]) > 1e-3


def test_converge_sees_the_order_of_strang(capsys):
    Path("c.toml").write_text(BASE.format(more=DOT + "\nprivate_noise = 0.3\n").replace("lmax = 12", "lmax = 24"))
    words = ("--vary", "layers.refine=1,2,4,8", "--observable", "coefficients", "--members", 2, "--json")
    assert call("converge", "c.toml", *words, layers__dt=0.4, layers__t_end=1.6, output__save_every=1.6) == 0
    found = json.loads(capsys.readouterr().out)
    assert abs(found["slope"]["value"] + 2) < 0.15


def test_exponential_steps_have_order_four_and_go_on_bitwise(capsys):
    more = DOT + '\nprivate_noise = 0.3\nstepping = "exponential"\n'
    Path("c.toml").write_text(BASE.format(more=more).replace("lmax = 12", "lmax = 24"))
    words = ("--vary", "layers.refine=1,2,4,8", "--observable", "coefficients", "--members", 2, "--json")
    assert call("converge", "c.toml", *words, layers__dt=0.4, layers__t_end=1.6, output__save_every=1.6) == 0
    found = json.loads(capsys.readouterr().out)
    assert abs(found["slope"]["value"] + 4) < 0.25
    for t_end, more in ((0.34, ()), (0.8, ("--resume",))):
        assert call("solve", "c.toml", "--out", "two.nc", "-q", *more, layers__t_end=t_end) == 0
    assert call("solve", "c.toml", "--out", "one.nc", "-q", layers__t_end=0.8) == 0
    assert_same("one.nc", "two.nc")
    capsys.readouterr()
    assert call("compare", "c.toml", "--out", "no.nc") == 2
    message = 'layers.stepping = "exponential": must be left out where tokens ride on the density'
    assert capsys.readouterr().err.strip() == f"error: {message}"
    assert not Path("no.nc").exists()


def refused(more, **changes):
    text = BASE.format(more=more)
    for old, new in changes.values():
        assert old in text
        text = text.replace(old, new)
    with pytest.raises(ConfigError) as error:
        build(load_text(text), functions_of(Path.cwd()))
    return str(error.value)


NEED = "must be ito or stratonovich: this common noise differs in the two"


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (
            'drift = [{kind = "zona"}]',
            'layers.drift[0].kind = "zona": must be one of zonal, gradient, rotation, python',
        ),
        ("drift = [{}]", "layers.drift[0].kind: missing; must be one of zonal, gradient, rotation, python"),
        ("drift = [3]", "layers.drift[0] = 3: must be a table"),
        ("drift = 3", "layers.drift = 3: must be a list of tables, each with a kind"),
        (
            'drift = [{kind = "zonal", kernel = "cubic"}]',
            'layers.drift[0].kernel = "cubic": must be one of dot, maier_saupe, exponential, legendre, python',
        ),
        (
            'drift = [{kind = "zonal", kernel = "dot", strenght = 1.0}]',
            "layers.drift[0].strenght: unknown key; did you mean layers.drift[0].strength?",
        ),
        (
            'drift = [{kind = "zonal", kernel = "dot", axis = [1.0]}]',
            'layers.drift[0].axis = [1.0]: belongs to layers.drift[0].kind = "gradient" or "rotation", not to "zonal"',
        ),
        ('drift = [{kind = "zonal", kernel = "dot"}]', 'layers.drift[0].strength: missing with kernel = "dot"'),
        (
            'drift = [{kind = "zonal", kernel = "dot", strength = 1.0, beta = 2.0}]',
            'layers.drift[0].beta = 2.0: not used with kernel = "dot"',
        ),
        (
            DOT[:-1] + ', {kind = "zonal", kernel = "exponential", beta = -2.0}]',
            "layers.drift[1].beta = -2.0: must be positive and finite",
        ),
        ('drift = [{kind = "gradient"}]', "layers.drift[0]: must have either axis or coefficients"),
        (
            'drift = [{kind = "gradient", coefficients = [[0, 1]]}]',
            "layers.drift[0].coefficients = [[0.0, 1.0]]: must be real in order 0: the function is real",
        ),
        (
            'drift = [{kind = "gradient", coefficients = [[0, 1, 2]]}]',
            "layers.drift[0].coefficients = [[0, 1, 2]]: must be a list of numbers or of pairs [real, imaginary]",
        ),
        (
            'drift = [{kind = "rotation", axis = [1.0]}]',
            "layers.drift[0].axis = [1.0]: must be a list of three numbers",
        ),
        (
            'common_noise = [{kind = "kicks", strength = -0.1}]',
            "layers.common_noise[0].strength = -0.1: must be a finite number at least 0",
        ),
        (
            'common_noise = [{kind = "isotropic", curl = [-1.0]}]',
            "layers.common_noise[0].curl = [-1.0]: must have no power below 0",
        ),
        (
            'common_noise = [{kind = "isotropic"}]',
            "layers.common_noise[0].gradient = []: must have some power, or curl, got ()",
        ),
        ('common_noise = [{kind = "python", function = "own:wind"}]', f"layers.interpretation: {NEED}"),
        ('interpretation = "itto"', 'layers.interpretation = "itto": must be one of ito, stratonovich'),
        (
            'stepping = "exponential"',
            'layers.stepping = "exponential": must be another where there is no private noise',
        ),
        ('stepping = "rk4"', 'layers.stepping = "rk4": must be one of halves, exponential'),
        ("refine = 3", "layers.refine = 3: must be a power of two (1, 2, 4, ...)"),
        (
            'drift = [{kind = "python", function = "own.wind"}]',
            'layers.drift[0].function = "own.wind": must be "module:name", a Python file beside the configuration',
        ),
        (
            'drift = [{kind = "python", function = "../own:wind"}]',
            'layers.drift[0].function = "../own:wind": must be "module:name", a Python file beside the configuration',
        ),
    ],
)  # fmt: skip
def test_refusals_name_the_key(more, message):
    assert refused(more) == message


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("[initial]", '[heads]\nkind = "gaussian"\n[initial]'),
         'heads: not used with layers.kind = "equation", which is made of terms; remove the section'),
        (("d = 3", 'd = 3\nspace = "euclidean"'),
         'layers.kind = "equation": must be another kind with model.space = "euclidean"; the equation is that of the '
         "sphere"),
        (("d = 3", "d = 3\ncausal = true"),
         'model.causal = true: must be false with layers.kind = "equation", which has no attention'),
        (("tokens = 6", 'tokens = 6\nfield = "torch"'),
         'simulate.field = "torch": belongs to attention, which layers.kind = "equation" has none of'),
        (('kind = "equation"', 'kind = "homogenized"'), "layers.drift = "),
    ],
)  # fmt: skip
def test_what_does_not_go_with_an_equation(change, message):
    assert refused(DOT, change=change).startswith(message)


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ("tolerance = 0.0", "layers.tolerance = 0.0: must be a finite number greater than 0"),
        ("tolerance = 1e-9",
         "layers.tolerance = 1e-09: must be at least solve.field_tol = 1e-06, what the field keeps"),
        (NOISY + "tolerance = 1e-3",
         "layers.tolerance = 0.001: must be left out with common noise, whose steps are given"),
    ],
)  # fmt: skip
def test_what_a_tolerance_refuses(more, message):
    assert refused(more) == message


def test_steps_by_their_error_from_the_command_line(capsys):
    """Records stand on multiples of dt, a resumed run is the whole one; tokens with private noise have none."""
    Path("t.toml").write_text(BASE.format(more=DOT + "\ntolerance = 1e-4\nprivate_noise = 0.3"))
    coarse = {"layers__dt": 0.1, "layers__t_end": 0.3}
    assert call("solve", "t.toml", "--out", "a.nc", "-q", **coarse) == 0
    assert call("solve", "t.toml", "--out", "b.nc", "-q", **{**coarse, "layers__t_end": 0.2}) == 0
    assert call("solve", "t.toml", "--out", "b.nc", "-q", "--resume", **coarse) == 0
    assert_same("a.nc", "b.nc")
    with xr.open_dataset("a.nc") as found:
        assert found.depth_time.values.tolist() == [0.0, 0.1, 0.2, 0.3]
    capsys.readouterr()
    for command in ("simulate", "compare"):
        assert call(command, "t.toml", "--out", "c.nc", "-q", **coarse) == 2
        assert capsys.readouterr().err == (
            "error: layers.tolerance = 0.0001: must be left out for tokens with layers.private_noise, which are "
            "random; tokenlaw solve takes it\n"
        )
        assert call(command, "t.toml", "--out", "c.nc", "-q", layers__private_noise=0.0, **coarse) == 0


def test_a_free_energy_that_rises_is_told_on_the_command_line(capsys):
    """Steps far too long overshoot the repulsion; with common noise a rise is nothing to be told."""
    text = BASE.replace("[initial]", "private_noise = 0.05\n[initial]").format(more=DOT)
    Path("r.toml").write_text(text)
    long = {"layers__drift[0].strength": -8.0, "layers__dt": 0.7, "layers__t_end": 4.2}
    for command, kicks, times in (("solve", "[]", 1), ("compare", "[]", 1), ("solve", KICKED, 0)):
        assert call(command, "r.toml", "--out", "r.nc", "-q", layers__common_noise=kicks, **long) == 0
        assert capsys.readouterr().err.count("the free energy rises by") == times


@pytest.mark.parametrize("power", ["curl = [0, 0, 0, 0, 0, 0.06]", "gradient = [0.5]"])
def test_the_lyapunov_exponent_of_a_configuration(power):
    """That of an isotropic flow against its formula, within 3 standard errors over members; far from 0."""
    noise = f"common_noise = [{{kind = 'isotropic', {power}}}]"
    solver = "lmax = 5\ncarried_nodes = [8, 16]\nremap_every = 0\nmoment_tol = 0.1"
    text = BASE.format(more=noise).replace("lmax = 12", solver)
    start = 'initial = {kind = "uniform"}'
    rates = []
    for member in range(16):
        changed = ["layers.dt=0.05", "layers.t_end=0.5", f"noise.member={member}", "solve.characteristics=true", start]
        one = build(load_text(text, changed))
        job = solve_job(one)
        rates.append(job.flow.record(job.flow.advance(job.start, 10)).lyapunov.values[0, 0])
    exact, error = one.law.common[0].exponent, np.std(rates, ddof=1) / 4
    assert abs(np.mean(rates) - exact) < 3 * error
    assert abs(exact) > 4 * error


def test_characteristics_of_an_equation_to_a_file(capsys):
    """Entropy by the nodes, which the free energy takes too; chosen steps have them as well, private noise has none."""
    on = {"solve__characteristics": "true"}
    Path("k.toml").write_text(BASE.format(more=DOT))
    assert call("solve", "k.toml", "--out", "k.nc", "-q", **on) == 0
    assert call("solve", "k.toml", "--out", "t.nc", "-q", layers__tolerance=1e-6, layers__dt=0.12, **on) == 0
    with xr.open_dataset("k.nc") as found, xr.open_dataset("t.nc") as chosen:
        assert np.array_equal(found.free_energy, found.interaction_energy)  # nu = 0
        assert np.abs(chosen.node_log_density.values[-1] - found.node_log_density.values[-1]).max() < 1e-5
        assert np.abs(chosen.lyapunov.values[-1] - found.lyapunov.values[-1]).max() < 1e-5
        assert found.lyapunov.values[-1].max() < -0.1
    assert call("solve", "c.toml", "--out", "f.nc", **on) == 2
    assert capsys.readouterr().err == (
        "error: solve.characteristics = true: must be left out with private noise, which has no flow to follow\n"
    )


def test_what_a_density_cannot_do(capsys):
    assert call("simulate", "c.toml", "--out", "f.nc", "--record-layers", "l.nc") == 2
    assert "only single attention pushes can be recorded" in capsys.readouterr().err


def test_other_layers_need_a_temperature():
    with pytest.raises(ConfigError, match=r"model\.beta: missing; must be a finite number at least 0"):
        load_text(BASE.format(more="").replace("equation", "homogenized"))


def test_a_term_is_reached_by_its_place(capsys):
    text = BASE.format(more=NOISY)
    c = load_text(text, ["layers.drift[0].strength=3.5", "layers.common_noise[0].strength=0.1"])
    assert (c.layers.drift[0].strength, c.layers.common_noise[0].strength) == (3.5, 0.1)
    assert load_text(text).layers.drift[0].strength == 2.0
    for key in ("layers.drift[1].strength", "layers.dt[0].strength", "layers.drift.strength"):
        with pytest.raises(ConfigError):
            load_text(text, [f"{key}=1.0"])
    words = ("--vary", "layers.drift[0].strength=1,2,3", "--observable", "mean_overlap", "--members", 2, "--json")
    assert call("converge", "c.toml", *words) == 0
    assert json.loads(capsys.readouterr().out)["coupled"]


# --- functions of the configuration's folder

WITH = {
    "solve": ("--out", "f.nc"),
    "simulate": ("--out", "f.nc"),
    "compare": ("--out", "f.nc"),
    "ensemble": ("--members", 2, "--out", "many", "--workers", 1),
    "converge": ("--vary", "layers.dt=0.04,0.02,0.01", "--observable", "mean_overlap"),
}


@pytest.mark.parametrize("command", WITH)
def test_without_the_flag_nothing_runs(command, capsys):
    before = sorted(Path().iterdir())
    assert call(command, "f.toml", *WITH[command]) == 2
    told = capsys.readouterr().err
    assert told.endswith(
        'layers.drift[0].function = "own:w": runs the Python file own.py; must be allowed by --allow-python\n'
    )
    assert told.count("\n") == 1
    assert sorted(Path().iterdir()) == before


@pytest.mark.parametrize("command", ["solve", "simulate", "compare", "converge"])
def test_with_the_flag_the_function_runs(command):
    assert call(command, "f.toml", *WITH[command], "--allow-python") == 0
    assert Path("ran").read_text() == "ran "  # once
    assert not Path("__pycache__").exists()
    if command != "converge":
        with xr.open_dataset("f.nc") as run:
            sha = hashlib.sha256(Path("own.py").read_bytes()).hexdigest()
            assert run.attrs["layers_functions_sha256"] == f"{sha}  own.py"


def test_members_of_an_ensemble_run_it():
    assert call("ensemble", "f.toml", *WITH["ensemble"], "--allow-python", "-q") == 0
    assert call("simulate", "f.toml", "--out", "f.nc", "--allow-python", "-q") == 0
    with xr.open_dataset("many/member-00000.nc") as run:
        assert "layers_functions_sha256" in run.attrs


def test_what_reads_runs_nothing(capsys):
    """info, plot and report of a file, config of a configuration, and a run that would go on without leave."""
    assert call("simulate", "f.toml", "--out", "f.nc", "--allow-python", "-q") == 0
    Path("ran").unlink()
    for words in (("info", "f.nc"), ("plot", "f.nc", "--out", "f.png"), ("report", "f.nc", "--out", "f.html"),
                  ("config", "f.toml")):  # fmt: skip
        assert call(*words) == 0
    assert 'function = "own:wind"' in capsys.readouterr().out
    assert call("simulate", "f.toml", "--out", "f.nc", "--resume", layers__t_end=0.2) == 2
    assert "--allow-python" in capsys.readouterr().err
    assert not Path("ran").exists()


def test_a_changed_file_is_not_gone_on_with(capsys):
    words = ("simulate", "f.toml", "--out", "f.nc", "--allow-python")
    assert call(*words) == 0
    assert call(*words, "--resume", layers__t_end=0.2) == 0
    Path("own.py").write_text(WIND + "# changed\n")
    capsys.readouterr()
    assert call(*words, "--resume", layers__t_end=0.4) == 2
    told = capsys.readouterr().err
    assert told == "error: --resume f.nc: the contents of own.py of layers.functions have changed since the run began\n"


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("own:absent", "must name a function, .*own.py has none of this name"),
        ("own:number", "must name a function, .*own.py has none of this name"),
        ("other:f", r"cannot read .*other.py \(No such file or directory\)"),
        ("wrong:f", "running .*wrong.py failed: SyntaxError: .*"),
        ("ends:f", "running .*ends.py failed: SystemExit: 0"),
    ],
)
def test_files_that_do_not_serve(name, words):
    Path("wrong.py").write_text("def f(:\n")
    Path("ends.py").write_text("raise SystemExit(0)\n")
    found = refused(f'drift = [{{kind = "python", function = "{name}"}}]')
    prefix = f'layers.drift[0].function = "{name}": '
    assert found.startswith(prefix)
    assert re.fullmatch(words, found.removeprefix(prefix))


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("flat", "a function of points (N, d) and measure must give shape (2, 3), got (2,)"),
        ("broken", "own:broken: ZeroDivisionError: division by zero"),
        ("endless", "the function must give finite numbers"),
    ],
)
def test_functions_are_tried_before_any_work(name, message):
    assert refused(f'drift = [{{kind = "python", function = "own:{name}"}}]') == f"layers.drift[0]: {message}"


def test_unread_functions_stand_for_nothing():
    c = load("f.toml")
    assert build(c, Unread()).inputs["functions"] == {}
    assert not Path("ran").exists()
