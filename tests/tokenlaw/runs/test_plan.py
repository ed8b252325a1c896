"""--dry-run: what would run, and its time from two steps, told by a clock of the tests; nothing is written."""

from itertools import count

import numpy as np
import pytest

from particles import BeginAgain
from tests.tokenlaw.calls import HOMOGENIZED, TRANSFORMER, call
from tokenlaw.config.read import load_text
from tokenlaw.runs import plan as planned
from tokenlaw.runs.build import build
from tokenlaw.runs.memory import terms
from tokenlaw.runs.plan import Measured, measured, plan, told


def row(parts, name):
    return dict(parts[1].rows)[name]


class Steps:
    """A flow that counts what is asked of it, and is one clock tick a call."""

    def __init__(self, ticks, again=None):
        self.ticks, self.next, self.calls = ticks, again, []
        self.now = 0.0

    def clock(self):
        return self.now

    def fresh(self, state):
        return state

    def record(self, state):
        self.calls.append("record")
        if self.next is not None:
            raise BeginAgain("finer nodes")
        self.now += self.ticks.pop(0)

    def advance(self, state, until):
        self.calls.append(f"step to {until}")
        self.now += self.ticks.pop(0)
        return State(until)

    def again(self, start, why):
        return self.next, start


class State:
    def __init__(self, step):
        self.step = step


def test_the_first_step_is_told_apart_from_later_ones():
    flow = Steps([5.0, 3.0, 1.0, 0.5])
    took = measured(flow, State(0), 100, flow.clock)
    assert flow.calls == ["record", "step to 1", "step to 2", "record"]
    assert took == Measured(first=3.0, later=1.0, start=5.0, record=0.5)
    assert took.total(100, 11, 3) == 3.0 + 99 * 1.0 + 3 * 5.0 + 8 * 0.5


@pytest.mark.parametrize(("n_steps", "ticks", "total"), [(0, [5.0, 0.5], 5.0), (1, [5.0, 3.0, 0.5], 8.5)])
def test_a_run_of_less_than_two_steps_is_not_longer_for_being_measured(n_steps, ticks, total):
    flow = Steps(ticks)
    assert measured(flow, State(0), n_steps, flow.clock).total(n_steps, n_steps + 1, 1) == total
    assert not flow.ticks


def test_a_run_that_begins_again_is_measured_as_it_will_be():
    finer = Steps([5.0, 3.0, 1.0, 0.5])
    first = Steps([], again=finer)
    finer.next = None
    assert measured(first, State(0), 9, finer.clock).later == 1.0
    assert first.calls == ["record"]


@pytest.mark.parametrize(("command", "names"), [
    ("solve", ["layers", "density", "records", "memory", "time"]),
    ("simulate", ["layers", "tokens", "records", "memory", "time"]),
    ("compare", ["layers", "density", "tokens", "records", "memory", "time"]),
])  # fmt: skip
def test_the_plan_of_each_command(command, names):
    c = load_text(HOMOGENIZED)
    parts = plan(command, build(c), clock=count().__next__)
    assert [name for name, _ in parts[1].rows] == names
    assert row(parts, "layers") == "homogenized, 6 steps of 0.02, to depth time 0.12"
    if command != "simulate":
        assert row(parts, "density") == "on S^2 up to degree lmax = 12, 12 x 24 carried nodes"
    if command != "solve":
        assert row(parts, "tokens") == "6 in dimension 3"
    assert row(parts, "records").startswith("4, 4 of them with distances" if command == "compare" else "4; a file")
    needed = terms(command, c, None, 4)
    most = max(needed, key=lambda term: term.need)
    assert row(parts, "memory").endswith(f"most of it for {most.key} = {most.value}")
    distances = ", 1 s with distances" if command == "compare" else ""
    # every part takes a tick: 1 to begin, 6 steps, 4 records
    assert row(parts, "time").startswith(f"about 11 s: 1 s to begin, 1 s a step, 1 s a record{distances} (measured")


def test_steps_of_a_transformer_and_what_is_rounded_are_told():
    parts = plan("simulate", build(load_text(TRANSFORMER)), clock=count().__next__)
    assert row(parts, "layers") == "transformer, 6 steps of 0.1, to depth time 0.6"
    assert any("save_every" in part for part in parts[2:] if isinstance(part, str))


@pytest.mark.parametrize("command", ["solve", "simulate", "compare"])
def test_nothing_is_written_and_no_output_is_asked_for(command, tmp_path, monkeypatch, capsys):
    config = tmp_path / "c.toml"
    config.write_text(HOMOGENIZED)
    monkeypatch.chdir(tmp_path)
    for words in ((), ("--out", tmp_path / "new" / "o.nc")):
        assert call(command, config, "--dry-run", *words) == 0
        assert capsys.readouterr().out.endswith("nothing was written\n")
    assert list(tmp_path.iterdir()) == [config]


def test_layers_that_would_be_recorded_count(tmp_path, monkeypatch, capsys):
    config = tmp_path / "c.toml"
    config.write_text(HOMOGENIZED)
    seen = []
    monkeypatch.setattr(planned, "refuse_run", lambda command, experiment, layers: seen.append(layers))
    assert call("simulate", config, "--dry-run", "--record-layers", tmp_path / "l.nc") == 0
    assert seen == [tmp_path / "l.nc"]
    assert not (tmp_path / "l.nc").exists()


@pytest.mark.parametrize(("words", "said"), [
    (("--dry-run", "--resume"), "error: --dry-run: tells of a run from depth 0, not of --resume; give one of them"),
    ((), "error: --out: is missing, must name the file to write (--dry-run does without)"),
    (("--dry-run", "--set", "simulate.tokens=999999999"), "error: simulate.tokens = 999999999: the run needs"),
])  # fmt: skip
def test_refusals(words, said, tmp_path, capsys):
    config = tmp_path / "c.toml"
    config.write_text(HOMOGENIZED)
    assert call("simulate", config, *words) == 2
    found = capsys.readouterr()
    assert found.err.startswith(said)
    assert found.err.count("\n") == 1
    assert found.out == ""


@pytest.mark.parametrize(("seconds", "text"), [
    (0.0, "0 s"), (0.0123, "0.012 s"), (3.21, "3.2 s"), (119.0, "119 s"), (150.0, "2.5 minutes"), (1e5, "28 hours"),
])  # fmt: skip
def test_times_for_people(seconds, text):
    assert told(seconds) == text


def test_the_plan_does_not_move_the_run(tmp_path):
    """Planning draws no number of the run: the same tokens with and without it."""
    experiment = build(load_text(HOMOGENIZED))
    before = experiment.sample(0, 5)
    plan("compare", experiment, clock=count().__next__)
    np.testing.assert_array_equal(experiment.sample(0, 5), before)
