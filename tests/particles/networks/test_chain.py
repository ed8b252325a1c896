"""The chain of Gram matrices against dense networks, over all options; and the mistakes that this would show."""

import math
from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from particles import ACTIVATIONS, networks
from tests.particles.networks.agreement import assert_agree, largest
from tests.particles.networks.cases import CASES, ERRORS, random_case
from tests.particles.networks.dense import QUANTILES, Dense
from tests.particles.networks.starts import Simplex

N_NETWORKS = 100
PLACEMENTS = {
    "pre": networks.PreNorm, "post": networks.PostNorm, "peri": networks.PeriNorm, "none": networks.NoNorm,
}  # fmt: skip
INITIALISATIONS = {"lecun": networks.LeCun, "xavier": networks.Xavier}


def network_of(dense):
    """The `Network` of the options of a dense one."""
    positions = networks.ALiBi() if dense.alibi else networks.RoPE(*dense.rope) if dense.rope else None
    if isinstance(dense.init, dict):
        initialisation = networks.PerMatrix(**dense.init)
    elif isinstance(dense.init, str):
        initialisation = INITIALISATIONS[dense.init]()
    else:
        initialisation = networks.Normal(dense.init)
    return networks.Network(
        dense.d, dense.layers,
        networks.SelfAttention(dense.heads, dense.head_dim, dense.kv_heads, dense.causal, positions, dense.qk_norm,
                               dense.score_scale, dense.whole_values),
        networks.MLP(ACTIVATIONS[dense.act], dense.width, dense.gated) if dense.act else None,
        norm=(networks.LayerNorm if dense.norm == "layer" else networks.RMSNorm)(dense.eps),
        placement=PLACEMENTS[dense.placement](), parallel=dense.parallel, residual_scale=dense.residual_scale,
        layer_scale=dense.layer_scale, depth_scaled=dense.depth_scaled, initialisation=initialisation,
    )  # fmt: skip


def chained(dense, start, n_networks, seed, gradients=True, dtype=np.float64):
    """What `dense.run` returns, of the chain."""
    law = getattr(networks, type(start).__name__)(**vars(start))
    found = network_of(dense).chain(law, n_networks=n_networks, seed=seed, gradients=gradients, dtype=dtype)
    n = found.sizes["position"]
    series = {name: found[name] for name in ("overlap", "gap", "log_gap", "radius", "stable_rank")}
    series |= {f"cosine_quantile {q}": found.cosine_quantile.sel(quantile=q) for q in QUANTILES}
    series |= {f"overlap_at {i}": found.overlap_at.sel(position=i) for i in {1, n // 2, n - 1}}
    if gradients:
        series["log_gradient"] = np.log(found.gradient)
    numbers = {(name, k): values.values[:, k] for name, values in series.items() for k in range(dense.layers + 1)}
    read = ("score_std", "entropy", "effective_keys")
    return numbers | {(name, k): found[name].values[:, k] for name in read for k in range(1, dense.layers + 1)}


def seed_of(name):
    """Another one for each case: many cases draw alike, and would have the same luck."""
    return list(CASES).index(name)


def assert_forward(chain, network, start):
    """That a chain without gradients agrees with dense networks."""
    found = network.run(start, N_NETWORKS, 1)
    assert_agree(chain, {key: value for key, value in found.items() if key in chain})


@cache
def of_chain(name):
    """The chain of a case, once."""
    return chained(*CASES[name], N_NETWORKS, seed_of(name))


@pytest.mark.parametrize("name", CASES)
def test_the_chain_has_the_law_of_dense_networks(name):
    network, start = CASES[name]
    assert_agree(of_chain(name), network.run(start, N_NETWORKS, seed_of(name)))


@pytest.mark.parametrize("seed", range(20))
def test_the_chain_has_the_law_of_random_dense_networks(seed):
    network, start = random_case(seed)
    assert_agree(chained(network, start, 60, seed), network.run(start, 60, seed))


@pytest.mark.long
@pytest.mark.parametrize("name", CASES)
def test_the_chain_has_the_law_of_many_dense_networks(name):
    network, start = CASES[name]
    assert_agree(chained(network, start, 1000, 100 + seed_of(name)), network.run(start, 1000, 100 + seed_of(name)))


@pytest.mark.long
@pytest.mark.parametrize("seed", range(20, 120))
def test_the_chain_has_the_law_of_more_random_dense_networks(seed):
    network, start = random_case(seed)
    assert_agree(chained(network, start, 400, seed), network.run(start, 400, seed), z=4.5, p=1e-5)


def test_infinitely_many_hidden_units_are_the_limit_of_many():
    wide = Dense(d=24, layers=2, heads=3, head_dim=8, act="gelu", width=1500)
    start = Simplex(8, 0.2)
    assert_forward(chained(replace(wide, width=math.inf), start, N_NETWORKS, 1, gradients=False), wide, start)


@pytest.mark.parametrize("name", ["words again", "post, layer"])
def test_single_precision_has_the_same_law(name):
    assert_forward(chained(*CASES[name], N_NETWORKS, 2, gradients=False, dtype=np.float32), *CASES[name])


@pytest.mark.parametrize("error", ERRORS)
def test_a_mistake_would_be_seen(error):
    network, start = CASES[ERRORS[error]]
    distance, _ = largest(of_chain(ERRORS[error]), replace(network, error=error).run(start, N_NETWORKS, 1))
    assert distance > 8
