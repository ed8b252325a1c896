"""Threads and processes: how many, what they give, what they do with errors; and that their number changes no bit."""

import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from particles import (
    L2,
    AttentionPush,
    Causal,
    GaussianHeads,
    LowRankHeads,
    Noise,
    RandomTransformer,
    Sinkhorn,
    Softmax,
    Tokens,
    Uniform,
    simulate,
)
from particles.attention.tiles import weighted_average
from particles.machine import by_chunks, cores, in_processes, one_thread, product, side_by_side, threads
from particles.machine.parallel import SIDE, VARIABLE, _quota


@pytest.fixture
def many(monkeypatch):
    """More threads than cores."""
    monkeypatch.setenv(VARIABLE, "8")


@pytest.mark.parametrize("text", ["0", "-1", "two", "", "1.5", "²"])
def test_a_wrong_number_of_threads_is_refused(text, monkeypatch):
    monkeypatch.setenv(VARIABLE, text)
    with pytest.raises(ValueError, match="TOKENLAW_THREADS must be a whole number >= 1, got"):
        threads()


def test_threads_are_those_asked_for_else_the_cores(monkeypatch):
    monkeypatch.setenv(VARIABLE, "3")
    assert threads() == 3
    monkeypatch.delenv(VARIABLE)
    assert threads() == cores() <= len(os.sched_getaffinity(0))
    with one_thread():
        assert threads() == 1


def test_a_process_held_to_one_core_uses_one():
    code = "from particles.machine import threads; print(threads())"
    environment = {name: value for name, value in os.environ.items() if name != VARIABLE}
    first = min(os.sched_getaffinity(0))
    found = subprocess.run(
        [sys.executable, "-c", f"import os; os.sched_setaffinity(0, [{first}]); {code}"],
        env=environment, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert found.stdout == "1\n"


def test_quotas_of_control_groups(tmp_path):
    """Of version 2 and of version 1, of this group and of those above; "max" and -1 are none."""

    def quota(name, **files):
        for path, content in files.items():
            place = tmp_path / name / path.replace("__", "/").replace("_dot_", ".")
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_text(content)
        return _quota(tmp_path / name, tmp_path / name / "own")

    own = "0::/a/b\n"
    assert quota("two", own=own, a__b__cpu_dot_max="max 100000\n", a__cpu_dot_max="150000 100000\n") == 1.5
    assert quota("none", own=own, a__b__cpu_dot_max="max 100000\n") == np.inf
    one = "4:cpu,cpuacct:/c\n"
    files = {"cpu__c__cpu_dot_cfs_quota_us": "400000\n", "cpu__c__cpu_dot_cfs_period_us": "100000\n"}
    files |= {"cpu__cpu_dot_cfs_quota_us": "-1\n", "cpu__cpu_dot_cfs_period_us": "100000\n"}
    assert quota("one", own=one, **files) == 4
    assert quota("nothing", own="nonsense\n") == np.inf


def test_results_are_in_order_and_calls_may_stand_in_each_other(many):
    def inner(k):
        return sum(side_by_side(lambda j: j * k, range(50)))

    assert side_by_side(inner, range(40)) == [1225 * k for k in range(40)]
    assert by_chunks(lambda part: part.stop - part.start, 10) == [10]


def test_threads_work_at_the_same_time(many):
    """Four that wait for each other would never end one after the other."""
    from threading import Barrier

    barrier = Barrier(4, timeout=20)
    assert sorted(side_by_side(lambda _: barrier.wait(), range(4))) == [0, 1, 2, 3]


def test_threads_see_the_errstate_of_the_caller(many):
    with np.errstate(divide="raise"), pytest.raises(FloatingPointError):
        side_by_side(lambda _: np.ones(1) / np.zeros(1), range(4))


@pytest.mark.parametrize("run", [side_by_side, lambda work, items: list(in_processes(work, items))])
def test_an_error_ends_all_and_is_the_callers(run, many):
    def work(k):
        if k == 3:
            raise ValueError(f"no {k}")
        return k

    with pytest.raises(ValueError, match="no 3"):
        run(work, range(9))


def test_processes_give_every_result_and_are_alone(many):
    found = dict(in_processes(lambda k: (k * k, threads(), os.getpid()), range(12)))
    assert [found[k][:2] for k in range(12)] == [(k * k, 1) for k in range(12)]
    assert os.getpid() not in {pid for _, _, pid in found.values()}


def test_a_process_that_is_killed_is_an_error_not_a_wait(many):
    with pytest.raises(RuntimeError, match="ended from outside"):
        list(in_processes(lambda k: os.kill(os.getpid(), signal.SIGKILL), range(3)))


def test_processes_end_with_their_parent(tmp_path):
    """Also with one that is killed, whose locks they would hold."""
    code = """
import os, sys, time
from pathlib import Path
from particles.machine import in_processes
def work(k):
    Path(sys.argv[1], f"{os.getpid()}").touch()
    time.sleep(60)
list(in_processes(work, range(2)))
"""
    parent = subprocess.Popen([sys.executable, "-c", code, tmp_path], env=os.environ | {VARIABLE: "2"})
    until = time.monotonic() + 60
    while len(list(tmp_path.iterdir())) < 2 and time.monotonic() < until:
        time.sleep(0.05)
    children = [int(path.name) for path in tmp_path.iterdir()]
    parent.kill()
    parent.wait()
    assert len(children) == 2
    while any(_running(child) for child in children) and time.monotonic() < until:
        time.sleep(0.05)
    assert not any(_running(child) for child in children)


def _running(process):
    try:
        with open(f"/proc/{process}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.parametrize("shape", [(700, 300, 800), (800, 300, 700), (40, 900, 1200), (30, 20, 10)])
def test_products(shape, monkeypatch):
    n, k, m = shape
    rng = np.random.default_rng(0)
    left, right = rng.standard_normal((n, k)), rng.standard_normal((m, k)).T
    assert max(shape) > 2 * SIDE or max(shape) == 30
    found = {}
    for count in (1, 2, 3, 8):
        monkeypatch.setenv(VARIABLE, str(count))
        found[count] = product(left, right)
        assert np.array_equal(found[count], found[1])
    np.testing.assert_allclose(found[1], left @ right, rtol=0, atol=1e-11)


def _law(kernel, heads, d):
    return RandomTransformer(heads(d, head_dim=4), kernel, eta=0.3, n_heads=5, noise=Noise(3))


@pytest.mark.parametrize("heads", [GaussianHeads, LowRankHeads], ids=["full", "low rank"])
@pytest.mark.parametrize(
    ("kernel", "n"),
    [(Softmax(2.0), 500), (Softmax(40.0), 900), (L2(1.0), 500), (Causal(Softmax(1.0)), 500), (Sinkhorn(1.0), 500)],
    ids=str,
)
def test_the_number_of_threads_changes_no_bit(kernel, n, heads, monkeypatch):
    d = 8
    start = Tokens(Uniform(d).sample(np.random.default_rng(1), n))
    found = []
    for count in (1, 2, 3, 8):
        monkeypatch.setenv(VARIABLE, str(count))
        found.append(simulate(start, _law(kernel, heads, d), n_steps=2, save_every=2).tokens.values)
    assert all(np.array_equal(found[0], other) for other in found[1:])
    assert np.abs(found[0][-1] - found[0][0]).max() > 0.01


@pytest.mark.parametrize("scale", [1.0, 200.0, 5000.0])
def test_blocks_of_rows_change_no_bit(scale, monkeypatch):
    """In each of the three ways in which exponentials are kept in range."""
    rng = np.random.default_rng(2)
    rows, columns = scale * rng.standard_normal((2000, 3)), rng.standard_normal((700, 3))
    weights, values = rng.random(700), rng.standard_normal((700, 5))
    found = []
    for count in (1, 3):
        monkeypatch.setenv(VARIABLE, str(count))
        found.append(weighted_average(rows, columns, weights, values))
    assert np.array_equal(*found)
    scores = rows @ columns.T + np.log(weights)
    shares = np.exp(scores - scores.max(axis=1, keepdims=True))
    np.testing.assert_allclose(found[0], shares @ values / shares.sum(axis=1, keepdims=True), rtol=0, atol=1e-9)


def test_heads_of_one_layer_add_up_in_their_order(many):
    """More heads than are at work at a time, against the sum of their own fields."""
    rng, n, d = np.random.default_rng(4), 400, 6
    tokens = Tokens(Uniform(d).sample(rng, n))
    drawn = GaussianHeads(d, head_dim=3).sample(rng, 11)
    push = AttentionPush(Softmax(2.0), drawn.value, drawn.query, drawn.key)
    want = sum(
        Softmax(2.0).barycenter(tokens.points, tokens, query, key) @ value.T
        for value, query, key in zip(drawn.value, drawn.query, drawn.key, strict=True)
    )
    np.testing.assert_allclose(push.velocity(tokens)(tokens.points), want, rtol=0, atol=1e-12)
