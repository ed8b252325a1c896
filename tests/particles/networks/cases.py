"""Networks and starts on which the chain meets dense networks: one option after another, and random combinations.

Overlaps move between 0.1 and 0.9 in a few layers and scores have a deviation of 0.5 to 3, so statistics are sensitive.
"""

from dataclasses import replace

import numpy as np

from tests.particles.networks.dense import ACT, Dense
from tests.particles.networks.starts import Embedded, GivenGram, GivenTokens, Independent, Simplex

ONE_BY_ONE = {"query": 0.2, "key": 0.15, "value": 0.2, "output": 0.25, "up": 0.2, "gate": 0.12, "down": 0.15}
WAVES = np.sin(np.arange(1, 49)[:, None] * np.arange(12) / 7.0)
POINTS = np.cumsum(np.random.default_rng(1).standard_normal((10, 16)), axis=0) / 2
CLUSTERS = 48 * (0.2 * np.eye(10) + 0.1 + 0.5 * np.kron(np.eye(2), np.ones((5, 5))))


def attention(**more):
    return Dense(**({"d": 48, "layers": 2, "heads": 4, "head_dim": 12} | more))


def with_mlp(**more):
    return attention(**({"act": "gelu", "width": 80} | more))


CASES = {
    "attention": (attention(layers=3), Independent(12)),
    "one head": (attention(heads=1, head_dim=40, score_scale=1.5), Simplex(16, 0.3)),
    "shared keys": (attention(heads=6, head_dim=8, kv_heads=2), Embedded(12, words=1.0, shared=0.7)),
    "causal": (attention(causal=True), Simplex(12, 0.2)),
    "rotary": (attention(rope=(100.0, 1.0), score_scale=2.0), Simplex(16, 0.6)),
    "rotary in part, causal": (
        attention(heads=3, head_dim=16, rope=(10_000.0, 0.5), causal=True, score_scale=2.0), Simplex(16, 0.7),
    ),
    "linear biases": (attention(heads=8, head_dim=6, alibi=True), Independent(16)),
    "linear biases of six heads": (attention(heads=6, head_dim=8, alibi=True, causal=True), Simplex(12, 0.5)),
    "normed queries and keys": (attention(qk_norm=True, score_scale=1.5), Simplex(12, 0.5)),
    "gelu": (with_mlp(), Independent(12)),
    "relu, deep": (with_mlp(act="relu", layers=4, residual_scale=0.8), Simplex(8, 0.2)),
    "gated": (with_mlp(act="silu", gated=True, width=48), Simplex(12, 0.3)),
    "post": (with_mlp(placement="post"), Simplex(12, 0.1)),
    "post, layer": (with_mlp(placement="post", norm="layer", act="tanh"), Embedded(12, words=1.0, shared=0.5)),
    "peri": (with_mlp(placement="peri", act="erf", residual_scale=0.7), Simplex(12, 0.1)),
    "none": (with_mlp(placement="none", act="tanh", residual_scale=0.7, score_scale=0.8), Independent(12, std=1.1)),
    "layer, narrow": (with_mlp(d=12, heads=2, head_dim=6, width=20, norm="layer"), Embedded(8, words=1.0, shared=1.0)),
    "parallel": (with_mlp(parallel=True), Simplex(12, 0.2)),
    "parallel, post": (with_mlp(parallel=True, placement="post", act="sigmoid", residual_scale=1.5), Independent(12)),
    "parallel, peri": (with_mlp(parallel=True, placement="peri", norm="layer", residual_scale=0.6), Independent(12)),
    "parallel, none": (with_mlp(parallel=True, placement="none", act="relu", layer_scale=0.6), Simplex(12, 0.3)),
    "scales": (with_mlp(layer_scale=0.5, residual_scale=1.6, act="linear"), Simplex(12, 0.2, std=0.8)),
    "by depth": (with_mlp(depth_scaled=True, init=0.2), Independent(12, std=0.5)),
    "Xavier": (with_mlp(init="xavier", kv_heads=2, width=130), Simplex(12, 0.2)),
    "one by one": (with_mlp(init=ONE_BY_ONE, gated=True, act="gelu", kv_heads=2), Simplex(12, 0.2)),
    "words again": (
        with_mlp(causal=True), Embedded(20, words=1.0, positions=0.6, shared=0.4, repeat=0.6),
    ),
    "waves": (with_mlp(placement="post", layers=1), Embedded(12, words=0.8, shared=0.2, fixed=WAVES)),
    "given tokens": (with_mlp(d=16, heads=2, head_dim=8, width=30, norm="layer"), GivenTokens(POINTS)),
    "given overlaps": (with_mlp(norm="layer"), GivenGram(CLUSTERS)),
    "epsilon": (with_mlp(norm="layer", eps=0.3, causal=True), Embedded(12, words=0.5, positions=0.4)),
    "epsilon, peri": (with_mlp(placement="peri", eps=0.5, act="silu", gated=True), Simplex(12, 0.2, std=0.6)),
    "epsilon, post": (with_mlp(placement="post", norm="layer", eps=0.5), Independent(12)),
    "short steps": (
        attention(d=8, heads=2, head_dim=6, placement="post", residual_scale=0.3), Simplex(6, 0.0),
    ),
    "short steps, layer": (
        attention(d=6, heads=2, head_dim=6, placement="post", norm="layer", residual_scale=0.3), Simplex(4, 0.0),
    ),
    "few words": (attention(d=24, heads=2, layers=1), Embedded(6, words=1.0, positions=0.6, repeat=0.7)),
    "whole values": (attention(whole_values=True, kv_heads=2), Simplex(12, 0.4)),
    "whole values, causal": (
        with_mlp(d=20, whole_values=True, init="xavier", causal=True, norm="layer", placement="peri"), Independent(24),
    ),
    "close": (with_mlp(placement="post"), Simplex(8, 1 - 1e-9)),
    "narrow": (with_mlp(d=20, heads=2, head_dim=8, width=30), Independent(14)),
    "narrower than long": (
        with_mlp(d=12, heads=2, head_dim=5, width=10, norm="layer", causal=True), Embedded(24, words=1.0, shared=0.6),
    ),
    "large": (
        with_mlp(d=128, heads=2, head_dim=64, kv_heads=1, width=160, gated=True, act="silu", causal=True,
                 rope=(10_000.0, 1.0)),
        Embedded(28, words=1.0, shared=0.8),
    ),
}  # fmt: skip
"""name -> (network, start)."""


def random_case(seed):
    """A network and a start of random options."""
    rng = np.random.default_rng([seed, 17])

    def one_of(*values):
        return values[rng.integers(len(values))]

    d, heads, head_dim = one_of((48, 4, 12), (48, 6, 8), (64, 4, 16), (56, 2, 20), (24, 3, 8), (14, 2, 8))
    position, placement = one_of("", "rope", "alibi"), one_of("pre", "pre", "post", "peri", "none")
    act = one_of("", *ACT)
    network = Dense(
        d=d, heads=heads, head_dim=head_dim, layers=one_of(2, 2, 3), kv_heads=one_of(None, 1, heads),
        causal=one_of(False, True), rope=(one_of(30.0, 10_000.0), one_of(0.5, 1.0)) if position == "rope" else None,
        alibi=position == "alibi", qk_norm=one_of(False, False, True), score_scale=one_of(1.0, 1.5, -1.0),
        whole_values=rng.random() < 0.15,
        act=act or None, width=one_of(30, 96), gated=bool(act) and one_of(False, True), norm=one_of("rms", "layer"),
        placement=placement, parallel=bool(act) and one_of(False, True), residual_scale=one_of(0.7, 1.0),
        layer_scale=one_of(1.0, 0.8), depth_scaled=one_of(False, False, True),
        init="lecun" if placement == "none" else one_of("lecun", "xavier", 0.17, 0.22, ONE_BY_ONE),
    )  # fmt: skip
    n = int(rng.integers(6, 20))
    start = one_of(
        Independent(n), Simplex(min(n, d - 2), 0.4), Simplex(min(n, d - 2), 0.7, std=0.9),
        Embedded(n, words=1.0, positions=0.5, shared=0.7, repeat=0.4),
        Embedded(n, words=0.7, positions=0.5, fixed=np.cos(np.arange(d)[:, None] + np.arange(n))),
    )  # fmt: skip
    return replace(network, eps=float(np.random.default_rng([seed, 18]).choice([0.0, 0.0, 0.3]))), start


ERRORS = {
    "query": "attention",
    "key": "shared keys",
    "value": "causal",
    "output": "rotary",
    "up": "gated",
    "gate": "gated",
    "down": "gelu",
    "mask strict": "causal",
    "mask ahead": "words again",
    "keys unrotated": "rotary",
    "norm backward": "short steps",
    "no epsilon": "epsilon",
}
"""Deliberate mistake -> the case in which it is made."""
