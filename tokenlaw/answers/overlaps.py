"""`tokenlaw theory`: overlaps of tokens, and Gaussian tokens."""

from pathlib import Path
from typing import Annotated, Literal

from annotated_types import Interval

from tokenlaw.answers.entries import D3, Beta, D, HeadDim, Overlap, Result, Samples, SigmaA, entry


@entry(
    "Two tokens, A = I, random values: do they end together or opposite?",
    {
        "critical_beta": "antipodal pairs attract above it, cosh(2 beta) = d - 2; 0 for d = 2 and 3",
        "antipodal_probability": "probability that the overlap tends to -1",
    },
    "scale function, mathematics, section 4; Fedorov et al., as reported",
)
def _values_only(
    d: D, beta: Beta, u0: Annotated[float, Interval(gt=-1, lt=1), "overlap at the start"] = 0.0
) -> Result:
    from particles.reduced import ValuesOnly

    law = ValuesOnly(d, beta)
    return {"critical_beta": law.critical_beta, "antipodal_probability": law.antipodal_probability(u0)}


@entry(
    "Overlap of two tokens under wide random MLP blocks: kernel and exponents.",
    {
        "k": "k(1), the variance of a component of the block's output",
        "dk": "k'(1)",
        "lambda_1": "exponent of the angle of two near tokens; negative: they meet",
        "lambda_bar": "exponent of the mean of 1 - R of two near tokens",
        "decay_rate": "rate at which E(1 - R) falls in the end, from every overlap in (-1, 1)",
        "overlap_energy_rate": "E(e^beta - e^(beta R)) falls at least at it, from every overlap, by blocks alone",
    },
    "mathematics, sections 3 and 4; Agazzi et al.; docs/theory.md",
)
def _mlp_kernel(
    activation: Annotated[
        Literal["relu", "erf", "tanh", "sigmoid", "silu", "gelu", "linear"], "activation function"
    ],
    d: D,
    sigma_r: Annotated[float, Interval(ge=0), "standard deviation of the inner bias"] = 0.0,
    sigma_w: Annotated[float, Interval(ge=0), "standard deviation of the outer bias"] = 0.0,
    beta: Annotated[float, Interval(ge=0), "of the energy; 1 - R at beta = 0"] = 1.0,
) -> Result:
    from particles import ACTIVATIONS, DualKernel
    from particles.reduced import angle_exponent, decay_rate, mean_exponent, overlap_energy_rate

    kernel = DualKernel(ACTIVATIONS[activation], d, sigma_r, sigma_w)
    return {
        "k": float(kernel.value(1.0)),
        "dk": float(kernel.derivative(1.0)),
        "lambda_1": angle_exponent(kernel),
        "lambda_bar": mean_exponent(kernel),
        "decay_rate": decay_rate(kernel),
        "overlap_energy_rate": overlap_energy_rate(kernel, beta),
    }


@entry(
    "Two tokens under one random quadratic form and one random shift: how long do opposite pairs last?",
    {
        "gap": "rate at which pairs that have not met die out; 4 gamma/(pi B((d-1)/2, 1/2)) for small gamma",
        "printed_rate": "2 gamma^2 (d - 1)/(gamma^2 + 4) as reported: a lower bound, sharp at gamma^2 (d - 1) = 4",
        "edge": "of the continuous spectrum; the gap from gamma^2 (d - 1) = 4 on",
    },
    "two-point generator, docs/theory.md; Shalova, as reported",
)
def _spectral_gap(d: D, gamma: Annotated[float, Interval(ge=0, le=1e3), "strength of the shift"]) -> Result:
    from particles.reduced import QuadraticForm, spectral_gap

    form = QuadraticForm(d, gamma)
    found = spectral_gap(form)
    return {"gap": found.gap, "printed_rate": form.moment_rate, "edge": found.edge}


@entry(
    "Infinitely many tokens, then beta -> infinity: does the overlap collapse?",
    {
        "kappa": "3/2 + d/(2 head_dim), 3/2 for one factor: below 2 collapse, above 2 none",
        "exponent": "limit of log(1 - R)/t, diffusive time; infinite (null in JSON) for head_dim <= 2, d >= 4",
        "probability_plus": "probability that R -> 1 in the limit of large d; null where |R| = 1 is not reached",
    },
    "mathematics (8)",
)
def _low_temperature(
    d: D3,
    head_dim: HeadDim,
    u0: Annotated[float, Interval(gt=-1, lt=1), "overlap at the start"] = 0.0,
    factors: Annotated[int, Interval(ge=1, le=2), "2 for A = W W'^T, 1 for A with independent entries"] = 2,
) -> Result:
    from particles.reduced import LowTemperatureLimit, collapse_exponent, kappa, low_temperature_exponent

    power = kappa(d, head_dim if factors == 2 else None)
    exponent = low_temperature_exponent(d, head_dim) if factors == 2 else collapse_exponent(d, 1.0, (d - 1) / (d - 2))
    ends = LowTemperatureLimit(power).hitting_probability(u0) if power < 2 else None
    return {"kappa": power, "exponent": exponent, "probability_plus": ends}


@entry(
    "Mean cosine E <Ax/|Ax|, Ay/|Ay|> of two images under random matrices.",
    {"one_factor": "A with independent Gaussian entries", "two_factor": "A = W W'^T"},
    "mathematics (8)",
)
def _cosine_lemma(
    d: D, head_dim: HeadDim, overlap: Annotated[float, Interval(ge=-1, le=1), "overlap of x and y"]
) -> Result:
    from particles.reduced import one_factor_cosine, two_factor_cosine

    return {
        "one_factor": float(one_factor_cosine(overlap, d)),
        "two_factor": float(two_factor_cosine(overlap, d, head_dim)),
    }


@entry(
    "Overlap R of two tokens that attend to each other; diffusive time, sigma_v^2 = 1/d.",
    {
        "drift": "drift of R",
        "diffusion": "diffusion coefficient of R",
        "exponent": "limit of log(1 - R)/t once they are near: -(d - 1)/d at every beta",
    },
    "mathematics (7), attention by quadrature",
)
def _two_token(d: D, beta: Beta, sigma_a: SigmaA, head_dim: HeadDim, overlap: Overlap) -> Result:
    from particles.reduced import TwoTokens

    law = TwoTokens(d, beta, sigma_a, head_dim)
    return {
        "drift": float(law.drift(overlap)),
        "diffusion": float(law.diffusion(overlap)),
        "exponent": law.exponent,
    }


@entry(
    "n tokens of equal overlaps: attention statistics and drift of the overlap, by Monte Carlo over heads.",
    {
        "f": "E sum_k pi_ik^2 over the attention weights pi of a token",
        "h": "E sum_k pi_ik pi_jk of two tokens",
        "drift_finite_d": "drift of the overlap, diffusive time, sigma_v^2 = 1/d",
        "drift_infinite_d": "the same in the limit d -> infinity",
        "standard_error": "of drift_finite_d",
    },
    "mathematics, section 4",
)
def _simplex(
    d: D,
    n: Annotated[int, Interval(ge=2, le=10**5), "number of tokens"],
    beta: Beta,
    sigma_a: SigmaA,
    head_dim: HeadDim,
    overlap: Annotated[float, Interval(ge=-1, le=1), "overlap of every two tokens, at least -1/(n - 1)"],
    samples: Samples,
    seed: Annotated[int, Interval(ge=0, le=2**32 - 1), "of the random numbers"] = 0,
) -> Result:
    from particles.reduced import Simplex

    found = Simplex(d, n, beta, sigma_a, head_dim, overlap).statistics(samples=samples, seed=seed)
    values = {key: getattr(found, key).value for key in ("f", "h", "drift_finite_d", "drift_infinite_d")}
    return {**values, "standard_error": found.drift_finite_d.standard_error}


@entry(
    "Gaussian tokens in R^d stay Gaussian: mean and covariance under given heads, and when they blow up.",
    {
        "mean": "at t_end; null when the blow-up comes first",
        "covariance": "at t_end; null when the blow-up comes first",
        "blow_up_time": "when the covariance becomes infinite; null when it does not up to t_end",
    },
    "mathematics, section 6; Castin, Ablin, Carrillo and Peyre, arXiv 2501.18322",
)
def _gaussian_closure(
    attention: Annotated[Literal["softmax", "l2", "sinkhorn", "linear"], "kernel of the heads"],
    file: Annotated[Path, "NetCDF file with V, Q, K, mean, covariance, t_end and, if wanted, beta"],
) -> Result:
    from particles.files import closure_from_file

    return closure_from_file(file, attention)
