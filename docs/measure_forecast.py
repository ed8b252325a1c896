"""Forecasts beside finite random transformers in numpy alone: the tables of docs/forecast.md.

python docs/measure_forecast.py            (ten settings, exponents, presets: ten minutes of one core)
"""

import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from particles import ACTIVATIONS
from particles.reduced import Architecture, MLPKernel, forecast
from tests.particles.reduced import plain
from tokenlaw.answers.forecast import mean
from tokenlaw.answers.forecast.request import request_of

NETWORKS = 300
SETTINGS = (  # network, its tokens, their overlap
    (plain.Model(512, 8, 64, 48, 8, 1.0, 0.125), plain.simplex, 0.0),
    (plain.Model(256, 4, 64, 128, 5, 1.0, 0.125), plain.simplex, 0.0),
    (plain.Model(256, 4, 64, 32, 6, 2.0, 0.125), plain.drawn, 0.0),
    (plain.Model(256, 4, 64, 32, 6, 2.0, 0.125), plain.two_clusters, 0.5),
    (plain.Model(64, 4, 16, 8, 8, 1.5, 0.25), plain.drawn, 0.0),
    (plain.Model(64, 2, 32, 256, 8, 1.5, 0.35), plain.drawn, 0.0),
    (plain.Model(128, 8, 16, 48, 8, 3.0, 0.25), plain.drawn, 0.0),
    (plain.Model(96, 6, 16, 64, 8, 3.0, 0.5, pre_norm=True), plain.drawn, 0.2),
    (plain.Model(128, 4, 32, 64, 6, 1.5, 0.177, "relu", 0.1), plain.drawn, 0.0),
    (plain.Model(128, 2, 64, 24, 8, 1.0, 0.1, "tanh", 0.08, True), plain.simplex, 0.3),
)
EXPONENTS = (  # commands of docs/start.md and docs/forecast.md, and heads that are summed
    plain.Model(512, 8, 64, 64, 1, 2.0, 0.125),
    plain.Model(768, 12, 64, 64, 1, 4.0, 0.125),
    plain.Model(768, 12, 64, 64, 1, 12.0, 0.125),
)
PUBLISHED = {"gpt2": (24, 40), "bert-base": (24, 40), "transformer-base": (512, 12), "vit-base": (24, 40)}


def same(model, layers=None):
    """The architecture of a plain network."""
    m = model
    mlp = None if m.mlp is None else MLPKernel(ACTIVATIONS[m.mlp])
    return Architecture(m.d, m.heads, m.head_dim, m.context, layers or m.layers, m.eta, m.d**-0.5, 1.0, m.beta, mlp,
                        m.mlp_scale, m.pre_norm)  # fmt: skip


def exponent(model, radius, networks):
    """Change of log(1 - overlap) in one layer at 0.99: mean and standard error."""
    found = []
    for network in range(networks):
        rng = np.random.default_rng([2, network])
        start = radius * plain.simplex(model.d, min(model.context, model.d - 1), 0.99, rng)
        before, after = 1 - model.overlaps(start, rng, 1)
        found.append(np.log(after / before))
    return np.mean(found), np.std(found) / networks**0.5


def setting(model, tokens, overlap, networks=NETWORKS):
    """Overlaps of networks (networks, layers + 1), their forecast, and coverage of its band by layer."""
    exact = []
    for network in range(networks):
        rng = np.random.default_rng([1, network])
        exact.append(model.overlaps(tokens(model.d, model.context, overlap, rng), rng))
    exact = np.array(exact)
    start = exact[:, 0].mean() if tokens is plain.two_clusters else overlap
    found = forecast(same(model), float(start), realizations=2000, drawn=tokens is not plain.simplex)
    low, high = found.band
    inside = ((exact >= low) & (exact <= high)).mean(axis=0)
    return exact, found, inside[1 if tokens is plain.simplex else 0 :]


def embeddings(name, d, n, rng):
    """Tokens of a preset before its first layer, in columns."""
    words, positions = rng.standard_normal((2, d, n))
    if name == "bert-base":
        return plain.layer_norm(0.02 * (words + positions + rng.standard_normal((d, 1))))
    if name == "transformer-base":
        angles = 10_000.0 ** (-np.arange(0, d, 2)[:, None] / d) * np.arange(n)
        return words + np.concatenate([np.sin(angles), np.cos(angles)])
    return 0.02 * (words + positions) if name == "gpt2" else words + 0.02 * positions


def published(name, net):
    """The network of a preset, without its mask."""
    d, normal = net.d, name in ("gpt2", "bert-base")
    square, hidden = (0.02, 0.02) if normal else (d**-0.5, (5 * d / 2) ** -0.5)
    branch = (2 * net.layers) ** -0.5 if name == "gpt2" else 1.0
    pre_norm = name in ("gpt2", "vit-base")
    heads, activation = net.attention.heads, net.mlp.activation.name
    return plain.Published(d, heads, net.layers, pre_norm, activation, square, hidden, branch)


def preset_beside(name, context, networks, **sizes):
    """Overlaps of networks of a preset (networks, layers + 1), without its mask, and its forecast by the mean."""
    request, exact = request_of(name, {"context": context, "causal": False, **sizes}), []
    for network in range(networks):
        rng = np.random.default_rng([3, network])
        start = embeddings(name, request.network.d, context, rng)
        exact.append(published(name, request.network).overlaps(start, rng))
    base, start = mean.architecture(request), request.start
    return np.array(exact), forecast(base, start.overlap, drawn=start.drawn)


def error(column):
    return f"{column.mean():.4f} ± {column.std(ddof=1) / len(column) ** 0.5:.4f}"


def rows():
    """Lines of the three tables."""
    for model, tokens, overlap in SETTINGS:
        exact, found, inside = setting(model, tokens, overlap)
        m, (value, bar) = model, exponent(model, found.radius[-1], 3 * NETWORKS)
        scores, block = m.beta * m.head_dim**0.5, f"{m.mlp or 'none'}{', pre-norm' if m.pre_norm else ''}"
        yield (
            f"| {m.d} | {m.heads} × {m.head_dim} | {m.context} | {m.eta:g} | {scores:.2g} | {block} | "
            f"{tokens.__name__.replace('_', ' ')} {overlap:g} | {error(exact[:, -1])} | {found.mean[-1]:.4f} | "
            f"{inside.min():.3f} to {inside.max():.3f} | {value:.3f} ± {bar:.3f} | {found.exponent():.3f} |"
        )
    for model in EXPONENTS:
        value, bar = exponent(model, 1.0, 100)
        told = forecast(same(model), 0.1).exponent()
        yield f"| {model.d} | {model.heads} | {model.eta:g} | {value:.4f} ± {bar:.4f} | {told:.4f} |"
    for name, (context, networks) in PUBLISHED.items():
        exact, found = preset_beside(name, context, networks)
        half = exact.shape[1] // 2
        yield (
            f"| {name} | {context} | {error(exact[:, half])} | {found.mean[half]:.4f} | {error(exact[:, -1])} | "
            f"{found.mean[-1]:.4f} |"
        )


if __name__ == "__main__":
    for row in rows():
        print(row, flush=True)
