"""`tokenlaw theory`: attention at initialisation, places of norms, phase transitions."""

import math
from typing import Annotated, Literal

from annotated_types import Interval

from tokenlaw.answers.entries import Result, entry

Keys = Annotated[int, Interval(ge=1, le=10**12), "number of keys"]


@entry(
    "Softmax of Gaussian scores at finite n: how many keys a token looks at, and how often two look at the same.",
    {
        "f": "E sum_k pi_k^2 over the attention weights of a token",
        "h": "E sum_k pi_k pi'_k of two tokens",
        "effective_keys": "1/f",
        "entropy": "E -sum_k pi_k log pi_k",
        "rem_f": "max(0, 1 - critical_score_std/score_std), the limit of many keys",
        "critical_score_std": "(2 log n)^1/2",
        "standard_error": "of f, h and entropy: 0, they are quadratures",
    },
    "docs/theory.md, Attention at initialisation; Giorlandino and Goldt, as reported",
)
def _attention_statistics(
    n: Keys,
    score_std: Annotated[float, Interval(ge=0, le=20), "standard deviation of the scores of a token over the keys"],
    overlap: Annotated[float, Interval(ge=-1, le=1), "correlation of the scores of two tokens"] = 0.0,
) -> Result:
    from particles.scores import attention_statistics, critical_deviation, random_energy_f

    found = attention_statistics(n, score_std, overlap)
    return {
        "f": found.f,
        "h": found.h,
        "effective_keys": found.effective_keys,
        "entropy": found.entropy,
        "rem_f": random_energy_f(n, score_std),
        "critical_score_std": critical_deviation(n),
        "standard_error": 0.0,
    }


@entry(
    "Where tokens are normalised: how fast the overlap of n orthogonal tokens rises at first, V = A = I.",
    {"initial_rate": "d R/dt at depth time 0"},
    "docs/theory.md, Normalisation; Karagodin, Ge, Polyanskiy and Rigollet, as reported",
)
def _normalisation(
    variant: Annotated[
        Literal["post", "pre", "mix", "peri", "cod"],
        "place of the norm; mix is post at first, cod post with branches scaled by depth^-1/2",
    ],
    beta: Annotated[float, Interval(ge=0, le=700), "inverse temperature"],
    n: Annotated[int, Interval(ge=2, le=10**9), "number of tokens"],
    r0: Annotated[float, Interval(gt=0, lt=1e9), "length of the tokens at the start, for pre and peri"] = 1.0,
) -> Result:
    from particles.reduced import averaged_length, equiangular_rate

    speed = {"pre": r0, "peri": r0 * averaged_length(0.0, n, beta)}.get(variant, 1.0)
    return {"initial_rate": float(equiangular_rate(0.0, n, beta)) / speed}


@entry(
    "Interaction and private noise: when is the uniform law of tokens left, and with a jump?",
    {
        "critical_strength": "K/nu at which ordered laws have the lower free energy",
        "order": "2 where the transition is continuous, 1 where it is not",
        "order_parameter": "of the ordered law there; 0 where the transition is continuous",
    },
    "mathematics, section 10; stationary laws by branches; Mun and Rosenzweig, as reported",
)
def _phase_transition(
    model: Annotated[
        Literal["dot", "maier_saupe", "exponential"], "w = K t, K t^2/2, or K e^(beta t)/beta; noise sqrt(2 nu) dB"
    ],
    d: Annotated[int, Interval(ge=2, le=64), "dimension of the tokens"],
    beta: Annotated[float, Interval(gt=0, le=30), "of the exponential interaction"] = 1.0,
) -> Result:
    from particles.equations import Dot, Exponential, MaierSaupe
    from particles.stationary import follow, onset

    models = {"dot": Dot(1.0), "maier_saupe": MaierSaupe(1.0), "exponential": Exponential(beta)}
    interaction = models[model]
    _, leaves = onset(interaction, d)
    branch = follow(interaction, d, 0.7 * leaves)
    while (nu := branch.transition() if branch.sheets > 1 else None) is None and branch.sheets > 1:
        branch = follow(interaction, d, 0.5 * branch.least)
    if nu is None:
        return {"critical_strength": 1 / leaves, "order": 2, "order_parameter": 0.0}
    state = branch.at(nu)
    return {"critical_strength": 1 / nu, "order": 1, "order_parameter": state.order_parameter if state else math.nan}
