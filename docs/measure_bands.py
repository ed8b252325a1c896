"""Shares of dense networks in the bands of `tokenlaw predict`: a table of docs/forecast.md.

python docs/measure_bands.py            (eight settings of 1,600 dense networks: ten minutes; --scales: other scales)
"""

import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from tests.particles.networks import dense, starts
from tokenlaw.answers.forecast import bands, plan
from tokenlaw.answers.forecast.request import request_of

DENSE, CHAIN, WAY_BACK, FEW = 1600, 3200, 800, 16
SETTINGS = (  # options, dense network, its tokens
    ("post-norm attention", {"init_std": 0.12, "norm": "post", "layers": 16}, {"init": 0.12, "placement": "post"},
     starts.Simplex(16, 0.1)),
    ("pre-norm, causal, RoPE, SwiGLU", {"init_std": 0.15, "causal": True, "positions": "rope", "mlp": "swiglu",
                                        "layers": 6},
     {"init": 0.15, "causal": True, "rope": (10_000.0, 1.0), "act": "silu", "gated": True, "width": 171},
     starts.Independent(24)),
    ("one head, hot", {"init": "lecun", "heads": 1, "head_dim": 32, "score_scale": 3.0, "norm": "post", "layers": 5},
     {"init": "lecun", "heads": 1, "head_dim": 32, "score_scale": 3.0, "placement": "post"}, starts.Simplex(32, 0.3)),
    ("peri-norm, gelu, ALiBi", {"init": "xavier", "norm": "peri", "mlp": "gelu", "mlp_width": 96, "positions": "alibi",
                                "layers": 5},
     {"init": "xavier", "placement": "peri", "act": "gelu", "width": 96, "alibi": True}, starts.Independent(12)),
    ("no norm, tanh", {"init_std": 0.1, "norm": "none", "mlp": "tanh", "mlp_width": 64, "layers": 5},
     {"init": 0.1, "placement": "none", "act": "tanh", "width": 64}, starts.Simplex(8, 0.5)),
    ("depth-scaled, layer norm, shared keys",
     {"init_std": 0.2, "norm_kind": "layer", "depth_scaled": True, "mlp": "relu", "mlp_width": 128, "kv_heads": 2,
      "layers": 8},
     {"init": 0.2, "norm": "layer", "depth_scaled": True, "act": "relu", "width": 128, "kv_heads": 2},
     starts.Independent(32)),
    ("four tokens", {"init": "lecun", "norm": "post", "mlp": "relu", "mlp_width": 64, "layers": 4},
     {"init": "lecun", "placement": "post", "act": "relu", "width": 64}, starts.Independent(4)),
    ("more tokens than dimensions", {"init_std": 0.2, "mlp": "gelu", "mlp_width": 96, "layers": 4, "d_model": 32,
                                     "head_dim": 8},
     {"init": 0.2, "act": "gelu", "width": 96, "d": 32, "head_dim": 8}, starts.Independent(48)),
)  # fmt: skip


def networks(options, twin, start):
    """The request and the dense network of one setting."""
    given = {"d_model": 64, "heads": 4, "head_dim": 16, "context": start.n, **options}
    if isinstance(start, starts.Simplex):
        given["overlap0"] = start.overlap
    d, heads, head_dim = given["d_model"], given["heads"], given["head_dim"]
    return request_of(None, given), dense.Dense(**{"d": d, "heads": heads, "head_dim": head_dim,
                                                   "layers": given["layers"], **twin})  # fmt: skip


SCALES = {"log(1 - g)": np.log, "g": lambda gap: 1 - gap, "atanh g": lambda gap: np.arctanh(1 - gap)}


def coverage(drawn, found, size, scale):
    """Mean share of found networks (N, L) in the bands of groups of drawn ones, by layer."""
    groups = drawn[: len(drawn) // size * size].reshape(-1, size, drawn.shape[1])
    inside = []
    for group in groups:
        low, high = bands.prediction(scale(group)) if scale else np.percentile(group, (5, 95), axis=0)
        values = scale(found) if scale else found
        inside.append(((low <= values) & (values <= high)).mean(axis=0))
    return np.mean(inside, axis=0), np.std(inside, axis=0)


def measured(options, twin, start):
    """1 - overlap and log gradient by layer, (N, L), of the chain and of dense networks; constant ones are left out."""
    request, net = networks(options, twin, start)
    chain = request.network.chain(request.start.law, CHAIN)
    back = request.network.chain(request.start.law, WAY_BACK, seed=1, gradients=True)
    judged = net.run(start, DENSE, 7)
    layers = range(1, net.layers + 1)
    return (
        chain["gap"].values[:, 1:], np.stack([judged["gap", k] for k in layers], axis=1),
        np.log(back["gradient"].values[:, :-1]),
        np.stack([judged["log_gradient", k] for k in range(net.layers)], axis=1),
    )  # fmt: skip


def ends(shares):
    return f"{shares.min():.3f} to {shares.max():.3f}"


if __name__ == "__main__":
    for name, options, twin, start in SETTINGS:
        gap, exact, gradient, exact_gradient = measured(options, twin, start)
        parts = [ends(coverage(gap, exact, size, np.log)[0]) for size in (FEW, plan.MOST)]
        parts += [ends(coverage(gradient, exact_gradient, size, lambda y: y)[0]) for size in (FEW, plan.MOST)]
        if "--scales" in sys.argv:
            parts += [f"{key}: {ends(coverage(gap, exact, size, to)[0])}" for key, to in SCALES.items()
                      for size in (FEW, plan.MOST)]  # fmt: skip
            parts += [f"percentiles: {ends(coverage(gap, exact, size, None)[0])}" for size in (FEW, plan.MOST)]
        print(f"| {name} | {' | '.join(parts)} |", flush=True)
