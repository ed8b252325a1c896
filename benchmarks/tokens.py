"""A layer of very many tokens on S^2: time, threads, memory and error, and what field = "auto" loses.

    OMP_NUM_THREADS=1 python benchmarks/tokens.py [--quick]

Eight heads with beta |A| from 1 to 5, C = V/8, field_tol 1e-6, tokens around one pole.  The floor is two bare
transforms of ducc0, an adjoint of degree 29 and a synthesis of spin 1, and the angles they need, in one piece each.
Core seconds are the time that the processor spent on a call: what quiet cores would take, where others share them.  For
two threads they are the seconds of the calling thread plus half of those of the others, whose chunks are of one size.
"""

import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

import ducc0
import numpy as np
from common import Result, Row, main, medians

from particles import (
    AttentionPush,
    Cloud,
    DirectField,
    GaussianHeads,
    Noise,
    RandomTransformer,
    Softmax,
    Tokens,
    simulate,
)
from particles.harmonics import PRECISION, angles
from particles.machine.buffers import reused
from particles.machine.parallel import VARIABLE
from particles.retraction import normalize
from spde import SpectralField, spectral_field
from spde.field.choice import auto_field

TOL = 1e-6
HEADS = 8
ATTENTION = Softmax(1.0)
SIZES = (64, 128, 256, 512, 1024, 2048, 4096)  # of the comparison of direct sums and series
GIB = 2**30


def tokens(n):
    """n points around the north pole, made in pieces: memory is measured here."""
    rng, points = np.random.default_rng(0), np.empty((n, 3))
    for start in range(0, n, 1 << 20):
        piece = rng.standard_normal((min(1 << 20, n - start), 3))
        piece[:, 2] += 0.5
        points[start : start + len(piece)] = piece / np.linalg.norm(piece, axis=1)[:, None]
    return points


def heads():
    """The push of the layer."""
    drawn = GaussianHeads(3, 3**-0.5, 3**-0.5, 3).sample(np.random.default_rng(1), HEADS)
    norms = np.linalg.norm(np.swapaxes(drawn.key, 1, 2) @ drawn.query, 2, axis=(1, 2))
    scale = np.sqrt(np.linspace(1, 5, HEADS) / norms)[:, None, None]
    return AttentionPush(ATTENTION, drawn.value / HEADS, scale * drawn.query, scale * drawn.key)


PUSH = heads()


def layer(cloud, threads=1):
    """A function that moves a cloud through the layer."""

    def run():
        os.environ[VARIABLE] = str(threads)
        field = SpectralField(PUSH, cloud, len(cloud.points), TOL)
        moved = field.moved(cloud.points, normalize)
        os.environ[VARIABLE] = "1"
        return moved

    return run


def floor(cloud, degree=33):
    """A function that does the angles and two transforms, and nothing else."""
    pair = np.zeros((2, (degree + 1) * (degree + 2) // 2), dtype=np.complex128)
    options = {"spin": 0, "lmax": 29, "mmax": 29, "epsilon": PRECISION, "nthreads": 1}

    def run():
        location = angles(cloud.points)
        ducc0.sht.adjoint_synthesis_general(map=cloud.weights[None], loc=location, **options)
        ducc0.sht.synthesis_general(alm=pair, loc=location, **(options | {"spin": 1, "lmax": degree, "mmax": degree}))

    return run


def core_seconds(function, repeat):
    """Median processor time of a call."""
    found = []
    for _ in range(repeat):
        start = time.process_time()
        function()
        found.append(time.process_time() - start)
    return statistics.median(found)


def two_core_seconds(function, repeat):
    """Median processor time of a call with two threads along its longest path."""
    found = []
    for _ in range(repeat):
        start = time.process_time(), time.thread_time()
        function()
        everywhere, here = time.process_time() - start[0], time.thread_time() - start[1]
        found.append(here + (everywhere - here) / 2)
    return statistics.median(found)


def equal_cloud(n):
    """n tokens of equal weights."""
    return Cloud(tokens(n), np.full(n, 1 / n))


def million(n, repeat):
    """Rows on one layer of n tokens: time on one and two threads, floor, error."""
    cloud = equal_cloud(n)
    functions = {"one": layer(cloud), "two": layer(cloud, 2), "floor": floor(cloud)}
    found = medians(functions, repeat)
    core = {name: core_seconds(functions[name], repeat) for name in ("one", "floor")}
    core["two"] = two_core_seconds(functions["two"], repeat)
    some = np.random.default_rng(2).choice(n, 100, replace=False)
    want = normalize(cloud.points[some], DirectField(PUSH, cloud)(cloud.points[some]))
    one, two = functions["one"](), functions["two"]()
    error = float(np.abs(one[some] - want).max())
    size = f"10^{round(np.log10(n))} tokens, 8 heads"
    return [
        Row(f"{size}: one layer, one thread", found["one"], "s", "floor", found["one"] / found["floor"],
            "below 0.25 s", found["one"] < 0.25),
        Row(f"{size}: one layer, one thread, core seconds", core["one"], "s", "floor", core["one"] / core["floor"],
            "below 0.25 s", core["one"] < 0.25),
        Row(f"{size}: one layer, two threads", found["two"], "s", "one thread", found["two"] / found["one"],
            "below 0.15 s", found["two"] < 0.15),
        Row(f"{size}: one layer, two threads, core seconds", core["two"], "s", "one thread", core["two"] / core["one"],
            "below 0.15 s", core["two"] < 0.15),
        Row(f"{size}: error at 100 tokens against direct sums", error, "", target="below 1e-8", met=error < 1e-8),
        Row(f"{size}: largest difference between one and two threads", float(np.abs(one - two).max()), "",
            target="0", met=bool(np.array_equal(one, two))),
    ]  # fmt: skip


def scaling(sizes, repeat):
    """Rows on the time of a token at several sizes, against the cheapest of them."""
    functions = {n: layer(equal_cloud(n)) for n in sizes}
    functions[sizes[0]]()
    wall = {n: [] for n in sizes}
    core = {n: [] for n in sizes}
    for _ in range(repeat):
        for n, function in functions.items():
            inner = max(1, 10**6 // n)
            start = time.perf_counter(), time.process_time()
            for _ in range(inner):
                function()
            wall[n].append((time.perf_counter() - start[0]) / inner / n)
            core[n].append((time.process_time() - start[1]) / inner / n)
    rows = []
    for kind, times in (("", wall), (", core time", core)):
        found = {n: 1e9 * statistics.median(times[n]) for n in sizes}
        least = min(found.values())
        rows += [
            Row(f"{n:.0e} tokens: time of a token in a layer{kind}", found[n], "ns", "cheapest size", found[n] / least,
                "within 1.3", found[n] / least <= 1.3)
            for n in sizes
        ]  # fmt: skip
    return rows


def run_alone(n, layers):
    """Seconds of a run through `simulate` and the peak resident memory of its process, in a process of its own."""
    command = [sys.executable, __file__, "--alone", str(n), str(layers)]
    environment = os.environ | {VARIABLE: "1"}
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    return json.loads(done.stdout)


def peak_memory():
    """Peak resident memory of this process in bytes; getrusage would count that of the process that started it."""
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    raise RuntimeError("/proc/self/status has no VmHWM")


def alone(n, layers):
    """What `run_alone` starts."""
    start = Tokens(tokens(n))
    law = RandomTransformer(GaussianHeads(3, 3**-0.5, 3**-0.5, 3), Softmax(2.0), eta=0.1, n_heads=HEADS, noise=Noise(7))
    begin, core = time.perf_counter(), time.process_time()
    run = simulate(start, law, n_steps=layers, save_every=layers, field=spectral_field(1e-6))
    mean = run.mean_overlap.values[-1]
    found = {"seconds": time.perf_counter() - begin, "core": time.process_time() - core, "overlap": float(mean)}
    found["peak"] = peak_memory()
    print(json.dumps(found))


def memory(n, layers, target):
    """Rows on a run in a process of its own: time, and peak memory with the first and last state recorded."""
    found = run_alone(n, layers)
    size = f"run of {n:.0e} tokens through {layers} layer{'s' * (layers > 1)}"
    return [
        Row(f"{size}: peak resident memory", found["peak"] / GIB, "GiB", target=f"below {target} GB",
            met=found["peak"] < target * 1e9),
        Row(f"{size}: whole run, with records", found["seconds"], "s"),
        Row(f"{size}: whole run, core seconds", found["core"], "s"),
    ]  # fmt: skip


def choices(repeat):
    """Rows on direct sums and series at several sizes: what auto chose, and its time over that of the faster one."""
    rows = []
    for n_heads, beta in ((1, 2.0), (8, 1.0), (8, 2.0), (8, 5.0)):
        drawn = GaussianHeads(3, 0.5, 3**-0.5, 3).sample(np.random.default_rng(3), n_heads)
        push = AttentionPush(Softmax(beta), 0.1 * drawn.value / n_heads, drawn.query, drawn.key)
        for n in SIZES:
            cloud = equal_cloud(n)
            auto = type(auto_field(1e-6)(push, cloud, n)).__name__

            def ready(make, push=push, cloud=cloud):
                return lambda: make(push, cloud, len(cloud.points))(cloud.points)

            ways = {"DirectField": ready(DirectField), "SpectralField": ready(SpectralField)}
            found = medians(ways, repeat if n < 2000 else max(3, repeat // 3))
            loss = found[auto] / min(found.values())
            times = f"direct {1e3 * found['DirectField']:.3g}, series {1e3 * found['SpectralField']:.3g} ms"
            what = f"n = {n}, {n_heads} head{'s' * (n_heads > 1)}, beta {beta:g}: {times}"
            unit = f"ms {auto.removesuffix('Field').lower()}"
            rows.append(Row(what, 1e3 * found[auto], unit, "the faster", loss, "within 1.3", loss <= 1.3))
    return rows


def run(quick):
    load = os.getloadavg()[0]
    with reused():  # as within a run
        rows = million(10**6, 5 if quick else 15)
        rows += scaling((10**5, 10**6) if quick else (10**5, 10**6, 10**7), 3 if quick else 7)
    rows += memory(10**6, 3, 2)
    if not quick:
        rows += memory(10**8, 1, 24)
    rows += choices(9 if quick else 21)
    notes = [
        f"load of the machine when the run began: {load:.1f}; above 0, wall times are those of a shared machine",
        "direct sums and series are compared on one thread at tolerance 1e-6; the unit says which one auto chose",
    ]
    if quick:
        notes.append("10^7 and 10^8 tokens are measured at full size only")
    return Result("tokens", rows, notes)


if __name__ == "__main__":
    if "--alone" in sys.argv:
        alone(*map(int, sys.argv[-2:]))
    else:
        main(run)
