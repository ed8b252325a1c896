"""Sizes that do not fit are refused before anything is allocated: one line with key, estimate and what there is."""

import resource
import tracemalloc

import pytest

from particles.files.recorder import WAITING
from particles.machine import memory as door
from tests.tokenlaw.calls import HOMOGENIZED, TRANSFORMER, call, tokens_file
from tokenlaw.config.read import load_text
from tokenlaw.ensemble import run as ensemble
from tokenlaw.ensemble.member import Member
from tokenlaw.runs import memory
from tokenlaw.runs.build import build
from tokenlaw.runs.run import solve_job

GIB = 1 << 30
CHAIN = 'layers={{kind="transformer", eta=0.1, heads={heads}, depth={depth}}}'
CASES = {
    "simulate.tokens = 1000000000": ("simulate", ["simulate.tokens=1000000000"]),
    "simulate.tokens = 8192": ("compare", ["simulate.tokens=8192"]),
    "solve.lmax = 1023": ("solve", ["solve.lmax=1023"]),
    "solve.carried_nodes = [2000, 2000]": ("solve", ["solve.carried_nodes=[2000,2000]"]),
    "layers.nodes = 1000000000": ("solve", ["layers.nodes=1000000000"]),
    "layers.heads = 1000000000": ("simulate", [CHAIN.format(heads=10**9, depth=1)]),
    "model.d = 65536": ("simulate", [CHAIN.format(heads=1, depth=1), "model.d=65536", "initial={kind='uniform'}"]),
    "heads.modes = 1000": (
        "simulate", [CHAIN.format(heads=2000, depth=1), "heads.kind=smooth", "heads.modes=1000"]),
    "simulate.tokens = 30000": (
        "simulate", ["simulate.tokens=30000", "model.d=5", "initial={kind='uniform'}", "layers.mlp={}"]),
}  # fmt: skip


def grant(monkeypatch, there):
    """Say that so many bytes are available, to everybody who asks."""
    for asks in (door, memory, ensemble):
        monkeypatch.setattr(asks, "available", lambda: int(there))


@pytest.fixture
def config(tmp_path, monkeypatch):
    grant(monkeypatch, GIB // 2)
    path = tmp_path / "c.toml"
    path.write_text(HOMOGENIZED)
    return path


@pytest.mark.parametrize("told", CASES)
def test_a_size_that_does_not_fit_is_refused(told, config, capsys):
    command, overrides = CASES[told]
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    words = [word for override in overrides for word in ("--set", override)]
    assert call(command, config, "--out", config.parent / "out.nc", "-q", *words) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"error: {told}: the run needs about ")
    assert line.endswith(" of memory, 512 MiB are available; lower it")
    assert not (config.parent / "out.nc").exists()
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000  # kilobytes: nothing large was made


def test_layers_to_be_recorded_count(config, capsys):
    words = ["--set", CHAIN.format(heads=100, depth=10**6), "--set", "output.save_every=1e5"]
    command = ["simulate", config, "--out", config.parent / "out.nc", "-q", *words]
    assert call(*command, "--record-layers", config.parent / "layers.nc") == 2
    assert "layers.depth = 1000000 layers: the run needs about 40.2 GiB" in capsys.readouterr().err


def test_the_number_of_tokens_in_a_file_counts(config, monkeypatch, capsys):
    tokens_file(config.parent / "t.nc", n=400)
    grant(monkeypatch, 1 << 17)  # enough to read them, not enough to move them
    words = ["--set", 'initial={kind="tokens", file="t.nc"}', "--set", "layers.nodes=1"]
    assert call("compare", config, "--out", config.parent / "out.nc", "-q", *words) == 2
    assert "error: initial.file = 400 tokens: the run needs about" in capsys.readouterr().err


def test_a_study_of_convergence_is_refused_too(config, capsys):
    words = ["--vary", "simulate.tokens=8,16,100000000", "--observable", "mean_overlap", "--members", 2]
    assert call("converge", config, *words, "--set", "layers.t_end=0.02") == 2
    assert "error: simulate.tokens = 100000000: the run needs about" in capsys.readouterr().err


def test_what_fits_is_run(config):
    assert call("simulate", config, "--out", config.parent / "out.nc", "-q") == 0


@pytest.mark.parametrize("command", ["solve", "simulate", "compare"])
@pytest.mark.parametrize("text", [HOMOGENIZED, TRANSFORMER])
def test_every_key_that_makes_a_run_larger_makes_the_estimate_larger(command, text):
    def need(*overrides):
        return sum(term.need for term in memory.terms(command, load_text(text, overrides)))

    more = {"simulate": ["simulate.tokens=900"], "solve": ["solve.lmax=100", "solve.carried_nodes=[50,50]"]}
    more["compare"] = [*more["simulate"], *more["solve"]]
    more[command] = [*more[command], "layers.nodes=50" if text is HOMOGENIZED else "layers.heads=50"]
    for override in more[command]:
        assert need(override) > 1.01 * need(), override
    if command != "simulate":
        assert need("solve.characteristics=true") > need()
    else:
        assert need("model.attention=sinkhorn", "simulate.tokens=900") > need("simulate.tokens=900")


@pytest.mark.parametrize("command", ["solve", "compare"])
def test_nodes_that_a_run_chooses_are_counted_about_as_many_as_they_are(command):
    """Also those of the records that wait."""

    def need(nodes):
        c = load_text(HOMOGENIZED, [f"solve.carried_nodes={nodes}", "solve.characteristics=true"])
        return sum(term.need for term in memory.terms(command, c, None, 40))

    assert need("[16, 32]") < need("auto") < need("[64, 128]")


def test_records_that_wait_are_counted_up_to_their_bound():
    """A record that waits is memory; beyond 64 MiB of them they are in the file."""

    def need(n_records, *overrides):
        c = load_text(HOMOGENIZED, ["simulate.tokens=500000", *overrides])
        return sum(term.need for term in memory.terms("simulate", c, None, n_records))

    record = 500_000 * 4 * 8
    assert need(3) - need(1) == pytest.approx(2 * record, rel=0.2)
    assert need(151) - need(1) < WAITING + 2 * record
    assert need(100_000) == pytest.approx(need(151), rel=0.05)


def test_an_ensemble_starts_as_many_workers_as_fit(tmp_path, monkeypatch, capsys):
    """Two that need 687 MiB each do not go into 1.7 GB together; one after the other they do."""
    waiting = [Member(f"m{k}.nc", k, {}, "", {}, need=687 * 2**20) for k in range(4)]
    for there, number in ((1.7e9, 1), (2.6e9, 2), (16e9, 2)):
        grant(monkeypatch, there)
        said = []
        assert ensemble._workers(waiting, 2, False, ensemble.Told(said.append)) == number
        assert len(said) == (number < 2)
        assert ensemble._workers(waiting, 2, True, ensemble.Told(said.append)) == 2
    grant(monkeypatch, 1 << 20)
    (tmp_path / "c.toml").write_text(HOMOGENIZED)
    words = ["ensemble", tmp_path / "c.toml", "--run", "simulate", "--members", 2, "--out", tmp_path / "e", "--quiet"]
    assert call(*words, simulate__tokens=100000) == 2
    assert "simulate.tokens = 100000: the run needs about" in capsys.readouterr().err
    assert not (tmp_path / "e").exists()


@pytest.mark.parametrize("more", [[], ["solve.characteristics=true"], ["layers.tolerance=1e-3"]])
def test_steps_of_several_stages_are_counted(more):
    """What a step of an equation takes at its peak, for many carried nodes."""
    text = """
        model = {d = 3}
        initial = {kind = "uniform"}
        solve = {lmax = 4, carried_nodes = [60, 120]}
        layers = {kind = "equation", dt = 0.1, t_end = 0.1, drift = [{kind = "zonal", kernel = "dot", strength = 1.0}]}
    """
    one = build(load_text(text, more))
    job = solve_job(one)
    tracemalloc.start()
    try:
        job.flow.step(job.start)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    told = sum(term.need for term in memory.terms("solve", one.configuration, None, 1))
    assert 0.9 * peak < told < 1.6 * peak
