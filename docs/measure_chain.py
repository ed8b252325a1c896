"""Time of the chain of overlaps, as `tokenlaw predict` estimates it and by the clock: a table of docs/forecast.md.

python docs/measure_chain.py            (processor time of one core, a few minutes)
"""

import math
import sys
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from particles.machine import one_blas_thread
from tokenlaw.answers.forecast import cost
from tokenlaw.answers.forecast.request import request_of

CASES = (  # preset, changes, with gradients, in single precision
    ("gpt2", {"context": 64}, False, False),
    ("gpt2", {"context": 256}, False, False),
    ("gpt2", {"context": 256}, False, True),
    ("gpt2", {"context": 256, "mlp_width": math.inf}, False, True),
    ("gpt2", {"context": 64}, True, False),
    ("gpt2", {"context": 1024, "layers": 3}, False, True),
    ("bert-base", {"context": 512, "layers": 3}, False, False),
    ("llama-7b", {"context": 128, "layers": 4}, False, False),
    ("llama-7b", {"context": 128, "layers": 4}, False, True),
    ("llama-7b", {"context": 128, "layers": 2}, True, False),
    ("llama-7b", {"context": 1024, "layers": 2, "mlp_width": math.inf}, False, True),
    ("llama3-8b", {"context": 512, "layers": 2}, False, True),
    (None, {"d_model": 64, "heads": 4, "context": 16, "layers": 24, "init_std": 0.1}, False, False),
    (None, {"d_model": 256, "heads": 8, "context": 128, "layers": 12, "mlp": "gelu"}, False, False),
    (None, {"d_model": 256, "heads": 8, "context": 128, "layers": 12, "mlp": "gelu"}, True, False),
    (None, {"d_model": 512, "heads": 8, "context": 1024, "layers": 3}, False, False),
)


def row(name, changes, gradients, single):
    """A line of the table."""
    request = request_of(name, changes)
    dtype = np.float32 if single else np.float64
    took = []
    for _ in range(3):
        begun = time.process_time()
        request.network.chain(request.start.law, 1, gradients=gradients, dtype=dtype)
        took.append(time.process_time() - begun)
    net, n = request.network, request.start.tokens
    guess, clock = cost.seconds(net, n, gradients, single), min(took)
    width = "none" if net.mlp is None else f"{net.mlp.width:g}"
    kind = "gradients" if gradients else "single" if single else "double"
    what = f"| {name or 'on the sphere'} | {net.d} | {n:,} | {net.layers} | {width} | {kind} |"
    return f"{what} {guess:.3g} | {clock:.3g} | {guess / clock:.2f} |"


if __name__ == "__main__":
    with one_blas_thread():
        for case in CASES:
            print(row(*case), flush=True)
