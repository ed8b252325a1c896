"""Presets of `tokenlaw predict` beside dense networks with every matrix written out: a table of docs/forecast.md.

python docs/measure_presets.py          (gpt2, bert-base, llama-7b and gemma-2b at full width: ten minutes of one core)
"""

import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from particles.networks import ALiBi, LayerNorm, LeCun, Normal, Normed, RoPE, Simplex, Xavier
from particles.networks import Embedded as Embeddings
from tests.particles.networks import dense, starts
from tokenlaw.answers.forecast.request import request_of

FULL = {  # name: changes, dense networks, networks of the chain
    "gpt2": ({"context": 64}, 24, 64),
    "bert-base": ({"context": 64}, 24, 64),
    "llama-7b": ({"context": 64, "layers": 3}, 6, 24),
    "gemma-2b": ({"context": 64, "layers": 3}, 6, 24),
}
SMALL = {"d_model": 64, "heads": 4, "layers": 3, "context": 16}


def twin(net):
    """The dense network of a network."""
    a, mlp, place = net.attention, net.mlp, net.placement
    kinds = {(True, False, False): "pre", (True, True, False): "peri", (False, False, True): "post"}
    init = {Xavier: "xavier", LeCun: "lecun"}.get(type(net.initialisation))
    return dense.Dense(
        d=net.d, layers=net.layers, heads=a.heads, head_dim=a.head_dim, kv_heads=a.kv_heads, causal=a.causal,
        rope=(a.positions.base, a.positions.share) if isinstance(a.positions, RoPE) else None,
        alibi=isinstance(a.positions, ALiBi), qk_norm=a.qk_norm, score_scale=a.score_scale,
        act=None if mlp is None else mlp.activation.name, width=0 if mlp is None else mlp.width,
        gated=mlp is not None and mlp.gated, norm="layer" if isinstance(net.norm, LayerNorm) else "rms",
        eps=net.norm.eps,
        placement=kinds.get((place.before, place.behind, place.after), "none"), parallel=net.parallel,
        residual_scale=net.residual_scale, layer_scale=net.layer_scale, depth_scaled=net.depth_scaled,
        init=net.initialisation.std if isinstance(net.initialisation, Normal) else init,
    )  # fmt: skip


def twin_start(law):
    """Its tokens, as a function of (random numbers, networks, d)."""
    if isinstance(law, Normed):
        inner, centred = twin_start(law.start), isinstance(law.norm, LayerNorm)
        return lambda rng, networks, d: dense.normed(inner(rng, networks, d), centred, eps=law.norm.eps)[0]
    if isinstance(law, Simplex):
        return starts.Simplex(law.n, law.overlap, law.std)
    if isinstance(law, Embeddings):
        return starts.Embedded(law.n, law.words, law.positions, law.shared, law.repeat, law.fixed)
    return starts.Independent(law.n, law.std)


def beside(name, changes, networks, drawn):
    """Overlaps and logarithms of gradients by layer, (N, L + 1) each, of dense networks and of the chain."""
    request = request_of(name, changes)
    net, start, exact = twin(request.network), twin_start(request.start.law), []
    for number in range(networks):  # one at a time: a layer of LLaMA's matrices takes 1.6 GB
        rng = np.random.default_rng([11, number])
        exact.append(net.some(rng, start(rng, 1, net.d)))
    found = request.network.chain(request.start.law, drawn, gradients=True)
    layers = range(net.layers + 1)
    return [
        (np.array([[one[key, k][0] for k in layers] for one in exact]), values)
        for key, values in (("overlap", found["overlap"].values), ("log_gradient", np.log(found["gradient"].values)))
    ]


def small(name):
    """Changes that make a preset small, with as much in its matrices: init_std d^1/2 stays."""
    net = request_of(name, {}).network
    shared = {"kv_heads": 2} if net.attention.groups < net.attention.heads else {}
    if not isinstance(net.initialisation, Normal):
        return SMALL | shared
    return SMALL | shared | {"init_std": net.initialisation.std * (net.d / SMALL["d_model"]) ** 0.5}


def scores(one, two):
    """Difference of two means over networks in standard errors, by layer; 0 where neither varies."""
    error = np.hypot(one.std(axis=0, ddof=1) / len(one) ** 0.5, two.std(axis=0, ddof=1) / len(two) ** 0.5)
    return (one.mean(axis=0) - two.mean(axis=0)) / np.maximum(error, 1e-9)


def told(values):
    return f"{values.mean():.4f} ± {values.std(ddof=1) / len(values) ** 0.5:.4f}"


if __name__ == "__main__":
    for name, (changes, networks, drawn) in FULL.items():
        parts = beside(name, changes, networks, drawn)
        (overlap, mine), (gradient, back) = parts
        worst = max(np.abs(scores(overlap, mine)).max(), np.abs(scores(gradient, back)).max())
        print(
            f"| {name} | {overlap.shape[1] - 1} | {told(overlap[:, -1])} | {told(mine[:, -1])} | "
            f"{told(gradient[:, 0])} | {told(back[:, 0])} | {worst:.1f} |", flush=True,
        )  # fmt: skip
