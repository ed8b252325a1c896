"""Softmax attention of many tokens in high dimension: tiles of numpy against the GEMM peak and against torch.

    OMP_NUM_THREADS=1 python benchmarks/attention.py [--quick]

heads      averages of 12 heads of dimension 64 from given queries, keys and values, 4 n^2 64 operations a head; torch:
           scaled_dot_product_attention of the same arrays
layer      the velocity U of a layer with values of rank 64, from tokens in R^d, with all projections; torch:
           `TorchField`
GEMM peak  a product of 1536 x 1536 matrices in the same precision, by numpy or by torch, whichever is faster

One thread.  Times are CPU times of the process, medians over calls in turns, so that time given to other work does not
count; what other work does to caches and clock meets all alike.
"""

import os
import time
import tracemalloc

import numpy as np
from common import Result, Row, main, medians

from particles import AttentionPush, LowRankHeads, Softmax, Tokens, Uniform, direct_field, torch_field
from particles.attention.tiles import weighted_average

try:
    import torch
except ImportError:
    torch = None

HEADS, HEAD_DIM, EDGE = 12, 64, 1536
PRECISIONS = {"double": np.float64, "single": np.float32}
TIMES = {1024: 9, 4096: 4, 16384: 2}  # tokens: turns


def operations(n, d=0):
    """Of the heads alone, or of a layer with the projections of tokens in R^d."""
    return HEADS * (4 * n * n * HEAD_DIM + 8 * n * d * HEAD_DIM)


def products(precision):
    """The functions whose speed is the GEMM peak."""
    a = np.random.default_rng(0).standard_normal((EDGE, EDGE)).astype(precision)
    found = {"numpy GEMM": lambda: a @ a}
    if torch is not None:
        t = torch.from_numpy(a)
        found["torch GEMM"] = lambda: t @ t
    return found


def peak(times):
    """Operations a second of the faster product."""
    return 2 * EDGE**3 / min(seconds for name, seconds in times.items() if name.endswith("GEMM"))


def setting(n, d):
    """Tokens, a push with values of rank 64, and the kernel; scores as if tokens had length d^1/2."""
    rng = np.random.default_rng(n + d)
    heads = LowRankHeads(d, d**-0.5, d**-0.5, HEAD_DIM).sample(rng, HEADS)
    kernel = Softmax(d / HEAD_DIM**0.5)
    push = AttentionPush(kernel, 0.1 * heads.out, heads.query, heads.key, inner=heads.inner)
    return Tokens(Uniform(d).sample(rng, n)), push


def rows_of(what, times, work):
    """Fraction of the peak, and ratio to torch."""
    speed = work / times["tiles"]
    share = speed / peak(times)
    yield Row(f"{what}: speed", speed / 1e9, "GF/s", "GEMM peak", share, ">= 0.5", share >= 0.5)
    if "torch" in times:
        yield Row(f"{what}: speed of torch", work / times["torch"] / 1e9, "GF/s", "GEMM peak",
                  work / times["torch"] / peak(times))  # fmt: skip
        yield Row(f"{what}: GEMM of numpy", 2e-9 * EDGE**3 / times["numpy GEMM"], "GF/s", "GEMM peak",
                  2 * EDGE**3 / times["numpy GEMM"] / peak(times))  # fmt: skip
        ratio = times["tiles"] / times["torch"]
        yield Row(f"{what}: time", 1e3 * times["tiles"], "ms", "torch sdpa", ratio, "<= 1.5", ratio <= 1.5)


def turns(n):
    return {"repeat": TIMES[n], "warm": int(n < 16384), "clock": time.process_time}


def of_heads(n, name):
    """Given queries, keys and values."""
    precision = PRECISIONS[name]
    rng = np.random.default_rng(n)
    queries, keys = rng.standard_normal((2, HEADS, HEAD_DIM, n)).astype(precision) / 3
    values, weights = rng.standard_normal((HEADS, n, HEAD_DIM)).astype(precision), np.full(n, 1 / n)

    def tiles():
        for query, key, value in zip(queries, keys, values, strict=True):
            weighted_average(query.T, key.T, weights, value)

    functions = products(precision) | {"tiles": tiles}
    if torch is not None:
        q, k = (torch.from_numpy(np.ascontiguousarray(one.transpose(0, 2, 1)))[None] for one in (queries, keys))
        v = torch.from_numpy(values)[None]
        functions["torch"] = lambda: torch.nn.functional.scaled_dot_product_attention(q, k, v, scale=1.0)
    yield from rows_of(f"heads, n = {n}, {name}", medians(functions, **turns(n)), operations(n))


def of_layer(n, d, name):
    """From tokens to velocities."""
    precision = PRECISIONS[name]
    tokens, push = setting(n, d)
    field = direct_field(precision)(push, tokens, n)
    functions = products(precision) | {"tiles": lambda: field(tokens.points)}
    if torch is not None:
        other = torch_field("cpu", precision)(push, tokens, n)
        functions["torch"] = lambda: other(tokens.points)
    yield from rows_of(f"layer, n = {n}, d = {d}, {name}", medians(functions, **turns(n)), operations(n, d))


def of_low_rank(n, name):
    """The same layer with its mixing matrices in full."""
    tokens, push = setting(n, 768)
    make = direct_field(PRECISIONS[name])
    low, full = make(push, tokens, n), make(push.only(slice(None)), tokens, n)
    times = medians({"low": lambda: low(tokens.points), "full": lambda: full(tokens.points)}, **turns(n))
    gain = times["full"] / times["low"]
    yield Row(f"layer, n = {n}, d = 768, {name}: full values", 1e3 * times["full"], "ms", "values of rank 64", gain,
              ">= 2", gain >= 2)  # fmt: skip


def of_large_scores(n, name):
    """What it costs to keep exponentials in range, against scores that need nothing."""
    precision = PRECISIONS[name]
    rng = np.random.default_rng(n)
    q, k = rng.standard_normal((2, HEAD_DIM, n)).astype(precision) / HEAD_DIM**0.5
    v, weights = rng.standard_normal((n, HEAD_DIM)).astype(precision), np.full(n, 1 / n)
    sharp = {"plain": 4.0, "bound": 200.0 if name == "double" else 30.0, "maximum": 2000.0}
    rows = {key: precision(scale) * q for key, scale in sharp.items()}
    functions = {key: (lambda key=key: weighted_average(rows[key].T, k.T, weights, v)) for key in rows}
    times = medians(functions, **turns(n))
    for key, text in (("bound", "shifted by the bound"), ("maximum", "shifted by the maximum")):
        yield Row(f"one head, n = {n}, {name}: {text}", 1e3 * times[key], "ms", "no shift", times[key] / times["plain"])


def of_memory(sizes):
    """Largest memory of numpy arrays during one layer, and its growth with n."""
    found = []
    for n in sizes:
        tokens, push = setting(n, 768)
        field = direct_field(np.float32)(push, tokens, n)
        tracemalloc.start()
        field(tokens.points)
        found.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        yield Row(f"layer, n = {n}, d = 768, single: peak memory", found[-1] / 2**20, "MiB", "scores of one head",
                  found[-1] / (4 * n * n))  # fmt: skip
    power = float(np.polyfit(np.log(sizes), np.log(found), 1)[0])
    yield Row("peak memory: power of n", power, "", target="<= 1.1", met=power <= 1.1)


def of_gpu(n, name):
    """A layer on the device, with the transfers, and the heads alone, against the device's own GEMM."""
    precision = PRECISIONS[name]
    tokens, push = setting(n, 768)
    field = torch_field("cuda", precision)(push, tokens, n)
    kind = torch.float64 if name == "double" else torch.float32
    q, k, v = torch.randn((3, 1, HEADS, n, HEAD_DIM), device="cuda", dtype=kind)
    a = torch.randn((8192, 8192), device="cuda", dtype=kind)

    def synchronised(function):
        function()
        torch.cuda.synchronize()

    times = medians({
        "GEMM": lambda: synchronised(lambda: a @ a),
        "heads": lambda: synchronised(lambda: torch.nn.functional.scaled_dot_product_attention(q, k, v, scale=1.0)),
        "layer": lambda: field(tokens.points),
    }, repeat=5)  # fmt: skip
    device = 2 * 8192**3 / times["GEMM"]
    for what, work in (("heads", operations(n)), ("layer", operations(n, 768))):
        speed = work / times[what]
        yield Row(f"GPU, {what}, n = {n}, {name}: speed", speed / 1e9, "GF/s", "GEMM of the device", speed / device)


def run(quick):
    notes = ["One thread for BLAS and torch; CPU times."]
    if os.environ.get("OMP_NUM_THREADS") != "1":
        notes.append("OMP_NUM_THREADS was not 1: numpy may have used more threads, so the ratios mean little.")
    if torch is None:
        notes.append('torch is not installed (pip install "tokenlaw[torch]"): no comparison with it.')
    else:
        torch.set_num_threads(1)
    gpu = torch is not None and torch.cuda.is_available()
    if not gpu:
        notes.append("No GPU was seen: nothing was measured on one.")
    sizes = (1024,) if quick else (1024, 4096, 16384)
    rows = []
    for name in PRECISIONS:
        for n in sizes:
            rows += of_heads(n, name)
            for d in (64, 768) if n < 16384 else (768,):
                rows += of_layer(n, d, name)
        rows += of_low_rank(1024, name)
        rows += of_large_scores(1024 if quick else 4096, name)
        if gpu:
            rows += of_gpu(sizes[-1], name)
    rows += of_memory((1024, 2048, 4096) if quick else (1024, 4096, 16384))
    return Result("attention", rows, notes)


if __name__ == "__main__":
    main(run)
