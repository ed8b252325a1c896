"""`tokenlaw theory`: names, keys and numbers; every refusal is one line with exit code 2."""

import json
import math
import subprocess
import sys
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import pytest
import xarray as xr
from annotated_types import Interval

from particles.reduced import Simplex
from tokenlaw.answers import theory
from tokenlaw.answers.arguments import REQUIRED, arguments_of, read_arguments
from tokenlaw.commands import app

KEYS = {  # fixed: scripts depend on them
    "values-only": (["d", "beta", "u0"], ["critical_beta", "antipodal_probability"]),
    "mlp-kernel": (["activation", "d", "sigma_r", "sigma_w"], ["k", "dk", "lambda_1", "lambda_bar", "decay_rate",
                                                                   "overlap_energy_rate"]),
    "spectral-gap": (["d", "gamma"], ["gap", "printed_rate", "edge"]),
    "low-temperature": (["d", "head_dim"], ["kappa", "exponent", "probability_plus"]),
    "cosine-lemma": (["d", "head_dim", "overlap"], ["one_factor", "two_factor"]),
    "two-token": (["d", "beta", "sigma_a", "head_dim", "overlap"], ["drift", "diffusion", "exponent"]),
    "simplex": (["d", "n", "beta", "sigma_a", "head_dim", "overlap"],
                ["f", "h", "drift_finite_d", "drift_infinite_d", "standard_error"]),
    "attention-statistics": (["n", "score_std", "overlap"],
                             ["f", "h", "effective_keys", "entropy", "rem_f", "critical_score_std", "standard_error"]),
    "normalisation": (["variant", "beta", "n", "r0"], ["initial_rate"]),
    "phase-transition": (["model", "d", "beta"], ["critical_strength", "order", "order_parameter"]),
    "gaussian-closure": (["attention", "file"], ["mean", "covariance", "blow_up_time"]),
}  # fmt: skip


def asked(capsys, *words):
    """Result of a command with --json."""
    assert app.run(["theory", *words, "--json"]) == 0
    captured = capsys.readouterr()
    assert captured.err == ""
    assert captured.out.count("\n") == 1
    return json.loads(captured.out)


def refused(capsys, *words):
    """The line of a refusal."""
    assert app.run(["theory", *words]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.count("\n") == 1
    assert captured.err.startswith("error: ")
    return captured.err


CASES = [  # numbers of an independent program or closed forms, with the tolerance their digits allow
    (["values-only", "d=3", "beta=1"], {"critical_beta": (0.0, 0), "antipodal_probability": (0.22242256, 6e-9)}),
    (["values-only", "d=4", "beta=1.5", "u0=0"], {"critical_beta": (0.658479, 5e-7),
                                                  "antipodal_probability": (0.18113843, 6e-9)}),
    (["mlp-kernel", "activation=sigmoid", "d=64"], {"k": (0.2509690, 5e-8), "dk": (9.690356e-4, 5e-10),
                                                    "lambda_1": (-7.875968, 5e-7), "lambda_bar": (-15.24806, 5e-6)}),
    (["mlp-kernel", "activation=relu", "d=5", "sigma_r=.1", "sigma_w=1e-1"],
     {"k": (0.115, 1e-15), "dk": (0.1, 1e-15), "lambda_1": (-0.13, 1e-15), "lambda_bar": (0.17, 1e-15)}),
    (["mlp-kernel", "activation=relu", "d=5", "beta=0"], {"decay_rate": (0.025, 1e-9),
                                                          "overlap_energy_rate": (-0.2, 1e-9)}),
    (["spectral-gap", "d=10", f"gamma={2 / 3:.16f}"], {"gap": (1.8, 1e-9), "printed_rate": (1.8, 1e-9),
                                                       "edge": (1.8, 1e-9)}),
    (["spectral-gap", "d=3", "gamma=0.1"], {"gap": (0.0720, 1e-4), "printed_rate": (0.04 / 4.01, 1e-12)}),
    (["low-temperature", "d=16", "factors=1", "u0=0"], {"kappa": (1.5, 0), "probability_plus": (0.5, 1e-9),
                                                        "exponent": (-15 / (16 * 14), 1e-12)}),
    (["attention-statistics", "n=4", "score_std=0", "overlap=.3"], {"f": (0.25, 0), "h": (0.25, 0), "rem_f": (0, 0),
                                                                    "effective_keys": (4, 0),
                                                                    "entropy": (math.log(4), 1e-15)}),
    (["attention-statistics", "n=512", "score_std=6", "overlap=.9"], {"f": (0.511, 2e-3), "h": (0.3000, 3e-3)}),
    (["normalisation", "variant=post", "beta=2", "n=10"], {"initial_rate": (2 / (math.exp(2) + 9), 1e-15)}),
    (["normalisation", "variant=cod", "beta=2", "n=10", "r0=3"], {"initial_rate": (2 / (math.exp(2) + 9), 1e-15)}),
    (["normalisation", "variant=pre", "beta=2", "n=10", "r0=3"], {"initial_rate": (2 / (math.exp(2) + 9) / 3, 1e-15)}),
    (["normalisation", "variant=peri", "beta=2", "n=10", "r0=3"], {"initial_rate": (2 / (math.exp(4) + 9) ** 0.5 / 3,
                                                                                   1e-15)}),
    (["phase-transition", "model=dot", "d=5"], {"critical_strength": (5, 1e-12), "order": (2, 0),
                                                "order_parameter": (0, 0)}),
    (["phase-transition", "model=maier_saupe", "d=3"], {"critical_strength": (3 / 0.22019, 1e-3), "order": (1, 0),
                                                        "order_parameter": (0.4290, 1e-4)}),
    (["phase-transition", "model=exponential", "d=3", "beta=1.7"], {"order": (2, 0)}),
    (["phase-transition", "model=exponential", "d=3", "beta=1.9"], {"order": (1, 0)}),
    (["low-temperature", "d=16"], {"kappa": (2.0, 0), "exponent": (-0.0048, 5e-5)}),
    (["low-temperature", "d=16", "head_dim=4"], {"kappa": (3.5, 0), "exponent": (0.368, 5e-4)}),
    (["cosine-lemma", "d=8", "overlap=0.5"], {"one_factor": (0.5 - 0.375 * 0.5130 / 8, 3e-6),
                                              "two_factor": (0.5 - 0.375 * 0.8979 / 8, 3e-6)}),
    (["cosine-lemma", "d=8", "head_dim=1", "overlap=0.5"], {"one_factor": (0.5 - 0.375 * 0.5130 / 8, 3e-6),
                                                            "two_factor": (1 / 3, 1e-15)}),
    (["two-token", "d=5", "beta=0", "overlap=-0.5"], {"drift": (0.75 * 3.5 / 10, 1e-15),
                                                      "diffusion": (0.75 / 5**0.5, 1e-15), "exponent": (-0.8, 1e-15)}),
    (["simplex", "d=8", "n=4", "beta=3", "overlap=0.3", "seed=2"], {"drift_finite_d": (0.23319, 3e-4)}),
    (["simplex", "d=8", "n=4", "beta=10", f"sigma_a={8**-0.25}", "head_dim=8", "overlap=0.7", "samples=100000"],
     {"drift_finite_d": (0.12593, 1.2e-3)}),
]  # fmt: skip


@pytest.mark.parametrize(("words", "wanted"), CASES, ids=lambda case: " ".join(case) if isinstance(case, list) else "")
def test_numbers(capsys, words, wanted):
    found = asked(capsys, *words)
    assert list(found) == KEYS[words[0]][1]
    for key, (want, tolerance) in wanted.items():
        assert abs(found[key] - want) <= tolerance, key


def test_simplex_says_its_error(capsys):
    """Two seeds differ by their standard error; four times the samples halve it."""
    words = ["simplex", "d=8", "n=4", "beta=3", "sigma_a=0.6", "overlap=0.3"]
    few, other = (asked(capsys, *words, "samples=20000", f"seed={seed}") for seed in (0, 1))
    more = asked(capsys, *words, "samples=80000")
    gap = abs(few["drift_finite_d"] - other["drift_finite_d"])
    assert 0 < gap < 4 * math.sqrt(2) * few["standard_error"]
    assert abs(few["standard_error"] / more["standard_error"] - 2) < 0.1
    assert asked(capsys, *words, "samples=20000", "seed=0") == few
    found = Simplex(8, 4, 3.0, 0.6, 8, 0.3).statistics(samples=20_000, seed=0)
    assert few["standard_error"] == found.drift_finite_d.standard_error != found.f.standard_error


def test_what_is_infinite_is_null_in_json_and_inf_in_text(capsys):
    assert asked(capsys, "low-temperature", "d=16", "head_dim=2") == {
        "kappa": 5.5, "exponent": None, "probability_plus": None,
    }  # fmt: skip
    assert app.run(["theory", "low-temperature", "d=16", "head_dim=2"]) == 0
    assert "exponent          inf" in capsys.readouterr().out


def test_text_has_every_key_with_its_meaning(capsys):
    assert app.run(["theory", "values-only", "d=3", "beta=1", "u0=0"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2
    for line, (key, meaning) in zip(lines, theory.ENTRIES["values-only"].results.items(), strict=True):
        assert line.startswith(key)
        assert line.endswith(meaning)
    assert " 0.222422563062 " in lines[1]


def test_names_and_keys_are_the_fixed_ones():
    for name, (arguments, results) in KEYS.items():
        entry = theory.ENTRIES[name]
        known = [argument.name for argument in entry.arguments]
        assert known[: len(arguments)] == arguments
        assert all(argument.default is not REQUIRED for argument in entry.arguments[len(arguments) :])
        assert list(entry.results) == results


def test_list_explains_every_entry(capsys):
    assert app.run(["theory", "--list"]) == 0
    text = " ".join(capsys.readouterr().out.split())
    for entry in theory.ENTRIES.values():
        assert f"{entry.name} {entry.summary}" in text
        assert all(f"{argument.name}=" in text for argument in entry.arguments)
        assert all(f"-> {key}" in text for key in entry.results)
    assert "default d^-1/2" in text
    assert "default 0" in text
    assert app.run(["theory", "cosine-lemma", "--list"]) == 0
    text = capsys.readouterr().out
    assert "-> two_factor" in text
    assert "simplex" not in text


def test_list_is_there_for_programs_too(capsys):
    assert app.run(["theory", "--list", "--json"]) == 0
    listed = json.loads(capsys.readouterr().out)
    assert list(listed) == list(theory.ENTRIES)
    sigma = listed["mlp-kernel"]["arguments"]["sigma_r"]
    assert sigma["meaning"] == "standard deviation of the inner bias"
    assert (sigma["allowed"], sigma["default"]) == ("a finite number >= 0", "0")
    assert listed["two-token"]["arguments"]["d"]["default"] == "required"
    assert listed["two-token"]["results"]["drift"] == "drift of R"


REFUSALS = [
    ([], "theory: give a NAME or --list; names: values-only, mlp-kernel"),
    (["simplx"], 'theory: unknown name "simplx"; did you mean simplex?'),
    (["quux"], 'theory: unknown name "quux"; names: values-only, mlp-kernel'),
    (["quux", "--list"], 'theory: unknown name "quux"'),
    (["two-token", "bet=1"], 'theory two-token: unknown key "bet"; did you mean beta?'),
    (["two-token", "zz=1"], 'theory two-token: unknown key "zz"; keys: d, beta, sigma_a, head_dim, overlap'),
    (["two-token", "d"], 'theory two-token: "d" must be key=value; keys: d, beta'),
    (["two-token", "d=3", "d=4"], "theory two-token: d is given twice"),
    (["two-token", "d=3", "beta=1"], "theory two-token: overlap is missing: overlap R of the two tokens, a number"),
    (["two-token", "d=3.0"], 'theory two-token: d must be a whole number between 2 and 1000000, got "3.0"'),
    (["two-token", "d=1"], "theory two-token: d must be a whole number between 2 and 1000000"),
    (["two-token", "d=1" + 5000 * "0"], "theory two-token: d must be a whole number between 2 and 1000000"),
    (["two-token", "beta=nan"], 'theory two-token: beta must be a finite number >= 0, got "nan"'),
    (["two-token", "beta=inf"], 'theory two-token: beta must be a finite number >= 0, got "inf"'),
    (["two-token", "beta=-1"], 'theory two-token: beta must be a finite number >= 0, got "-1"'),
    (["two-token", "overlap=1.2"], 'theory two-token: overlap must be a number between -1 and 1, got "1.2"'),
    (["two-token", "d=3", "beta=1", "head_dim=4", "overlap=0"], "two-token: head_dim must be between 1 and d = 3"),
    (["values-only", "u0=1"], 'theory values-only: u0 must be a number strictly between -1 and 1, got "1"'),
    (["mlp-kernel", "activation=rely"],
     'activation must be one of relu, erf, tanh, sigmoid, silu, gelu, linear, got "rely"; did you mean relu?'),
    (["simplex", "d=8", "n=4", "beta=1", "overlap=-0.5"],
     "theory simplex: overlap must lie between -1/(n - 1) = -0.333333 and 1, got -0.5"),
    (["low-temperature", "d=2"], "theory low-temperature: d must be a whole number between 3 and"),
    (["two-token", "\x1b[2J=1"], r'unknown key "\U0000001B[2J"'),
    (["two-token", "d=3", "--list"], "theory: --list takes a NAME or nothing"),
    (["two-token", "--lst"], "No such option"),
]  # fmt: skip


@pytest.mark.parametrize(("words", "text"), REFUSALS, ids=range(len(REFUSALS)))
def test_refusals_are_one_line(capsys, words, text):
    assert text in refused(capsys, *words)


def test_an_entry_is_one_object_and_may_take_a_file(capsys, monkeypatch, tmp_path):
    """What another entry needs: the object in the table, nothing else."""

    def mean(
        file: Annotated[Path, "numbers"],
        power: Annotated[int, Interval(ge=1), "exponent"] = 1,
        kind: Annotated[Literal["one", "two"], "kind"] = "one",
    ):
        values = [float(line) ** power for line in file.read_text(encoding="utf-8").split()]
        return {"mean": sum(values) / len(values), "values": [*values, math.inf], "name": kind, "none": math.nan}

    entry = theory.Entry(
        "mean", "Mean of the numbers in a file.",
        {"mean": "their mean", "values": "all", "name": "kind", "none": "nothing"}, "arithmetic", mean,
    )  # fmt: skip
    monkeypatch.setattr(theory, "ENTRIES", {**theory.ENTRIES, "mean": entry})
    (tmp_path / "numbers.txt").write_text("1 2\n6", encoding="utf-8")
    found = asked(capsys, "mean", f"file={tmp_path}/numbers.txt", "power=2")
    assert found == {"mean": 41 / 3, "values": [1, 4, 36, None], "name": "one", "none": None}
    assert 'file must be the name of an existing file, got "nowhere"' in refused(capsys, "mean", "file=nowhere")
    assert app.run(["theory", "mean", "--list"]) == 0
    assert "default one" in capsys.readouterr().out


def test_gaussian_closures_come_from_a_file(capsys, tmp_path):
    """V = I, A = diag(a): s_i = s_i0/(1 - 2 a_i s_i0 t), blow-up at 1/(2 a_1 s_10); Sinkhorn has none."""
    path, square = tmp_path / "c.nc", ("row", "col")
    data = {"V": (square, np.eye(2)), "Q": (square, np.diag([0.4, -1.0])), "K": (square, np.eye(2)),
            "mean": ("row", np.zeros(2)), "covariance": (square, np.diag([1.0, 0.5]))}  # fmt: skip
    xr.Dataset(data, attrs={"t_end": 0.5}).to_netcdf(path)
    found = asked(capsys, "gaussian-closure", "attention=softmax", f"file={path}")
    assert found["covariance"] == [[pytest.approx(1 / 0.6, rel=1e-9), 0], [0, pytest.approx(1 / 3, rel=1e-9)]]
    assert (found["mean"], found["blow_up_time"]) == ([0, 0], None)
    xr.Dataset(data, attrs={"t_end": 2.0}).to_netcdf(path)
    found = asked(capsys, "gaussian-closure", "attention=softmax", f"file={path}")
    assert found == {"mean": None, "covariance": None, "blow_up_time": pytest.approx(1.25, rel=1e-9)}
    assert asked(capsys, "gaussian-closure", "attention=sinkhorn", f"file={path}")["blow_up_time"] is None
    told = refused(capsys, "gaussian-closure", "attention=hard", f"file={path}")
    assert "one of softmax, l2, sinkhorn, linear" in told
    xr.Dataset({"V": data["V"]}).to_netcdf(path)
    assert f"theory gaussian-closure: {path}: variable Q is missing" in refused(
        capsys, "gaussian-closure", "attention=l2", f"file={path}"
    )


def test_equal_signs_belong_to_the_value_and_reals_may_be_unbounded():
    def given(name: Annotated[Literal["a=b"], "any"], x: Annotated[float, "any"] = -2.5):
        """Any."""

    arguments = arguments_of(given)
    assert read_arguments(arguments, ["name=a=b"], "here") == {"name": "a=b", "x": -2.5}
    with pytest.raises(ValueError, match='here: x must be a finite number, got "1e999"'):
        read_arguments(arguments, ["x=1e999"], "here")


def test_explaining_needs_no_numerical_package():
    code = (
        "import sys; from tokenlaw.commands import app; code = app.run(['theory', '--list', '--json']); "
        "sys.exit(code or any(name in sys.modules for name in ('numpy', 'scipy', 'particles', 'rich.table')))"
    )
    home = Path(app.__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=home)
    assert done.returncode == 0, done.stderr
