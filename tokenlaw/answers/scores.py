"""`tokenlaw theory`: attention at initialisation."""

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
