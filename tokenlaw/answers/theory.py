"""`tokenlaw theory`: exact one-dimensional and closed-form results by name.

An entry is one function with annotated parameters (`tokenlaw.answers.arguments`), and what is said of it.  Numerical
packages are imported by that function, not here, so that the command starts at once.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from annotated_types import Interval

from tokenlaw.answers.arguments import Argument, Derived, arguments_of, nearest, read_arguments
from tokenlaw.config.toml import show
from tokenlaw.tables import Table, finite

Result = Mapping[str, Any]

MOST: Final = 10**6
D = Annotated[int, Interval(ge=2, le=MOST), "dimension of the tokens"]
D3 = Annotated[int, Interval(ge=3, le=MOST), "dimension of the tokens"]
Beta = Annotated[float, Interval(ge=0), "inverse temperature"]
SigmaA = Annotated[
    float,
    Interval(ge=0),
    "standard deviation of the entries of W and W', A = W W'^T",
    Derived("d^-1/2", lambda values: values["d"] ** -0.5),
]
HeadDim = Annotated[
    int, Interval(ge=1, le=MOST), "inner dimension of A, at most d", Derived("d", lambda values: values["d"])
]
Overlap = Annotated[float, Interval(ge=-1, le=1), "overlap R of the two tokens"]
Samples = Annotated[
    int,
    Interval(ge=2, le=10**8),
    "number of heads drawn",
    Derived("2^23/n, between 2^10 and 2^20", lambda values: min(max(2**23 // values["n"], 2**10), 2**20)),
]


@dataclass(frozen=True)
class Entry:
    """A result that can be asked for.

    Attributes
    ----------
    name, summary : as the user sees them.
    results : key -> meaning.
    source : where the formulas stand.
    compute : keyword arguments -> key -> number, list of numbers, or None; exactly the keys of `results`.
    """

    name: str
    summary: str
    results: Mapping[str, str]
    source: str
    compute: Callable[..., Result]

    @cached_property
    def arguments(self) -> tuple[Argument, ...]:
        """What it takes."""
        return arguments_of(self.compute)


ENTRIES: dict[str, Entry] = {}


def _entry(summary: str, results: Mapping[str, str], source: str) -> Callable[[Callable[..., Result]], object]:
    """Make a function an entry; its name, with hyphens, is that of the entry."""

    def enter(compute: Callable[..., Result]) -> object:
        name = compute.__name__.strip("_").replace("_", "-")
        ENTRIES[name] = Entry(name, summary, results, source, compute)
        return compute

    return enter


@_entry(
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


@_entry(
    "Overlap of two tokens under wide random MLP blocks: kernel and exponents.",
    {
        "k": "k(1), the variance of a component of the block's output",
        "dk": "k'(1)",
        "lambda_1": "exponent of the angle of two near tokens; negative: they meet",
        "lambda_bar": "exponent of the mean of 1 - R of two near tokens",
    },
    "mathematics, sections 3 and 4; Agazzi et al.",
)
def _mlp_kernel(
    activation: Annotated[
        Literal["relu", "erf", "tanh", "sigmoid", "silu", "gelu", "linear"], "activation function"
    ],
    d: D,
    sigma_r: Annotated[float, Interval(ge=0), "standard deviation of the inner bias"] = 0.0,
    sigma_w: Annotated[float, Interval(ge=0), "standard deviation of the outer bias"] = 0.0,
) -> Result:
    from particles import ACTIVATIONS, DualKernel
    from particles.reduced import angle_exponent, mean_exponent

    kernel = DualKernel(ACTIVATIONS[activation], d, sigma_r, sigma_w)
    return {
        "k": float(kernel.value(1.0)),
        "dk": float(kernel.derivative(1.0)),
        "lambda_1": angle_exponent(kernel),
        "lambda_bar": mean_exponent(kernel),
    }


@_entry(
    "Infinitely many tokens, then beta -> infinity: does the overlap collapse?",
    {
        "kappa": "3/2 + d/(2 head_dim): below 2 collapse, above 2 none",
        "exponent": "limit of log(1 - R)/t, diffusive time; infinite (null in JSON) for head_dim <= 2, d >= 4",
    },
    "mathematics (8)",
)
def _low_temperature(d: D3, head_dim: HeadDim) -> Result:
    from particles.reduced import kappa, low_temperature_exponent

    return {"kappa": kappa(d, head_dim), "exponent": low_temperature_exponent(d, head_dim)}


@_entry(
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


@_entry(
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


@_entry(
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


@_entry(
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


def find(name: str) -> Entry:
    """Entry of a name; ValueError of one line that says the nearest."""
    if name not in ENTRIES:
        raise ValueError(f"theory: unknown name {show(name)}{nearest(name, ENTRIES)}; names: {', '.join(ENTRIES)}")
    return ENTRIES[name]


def evaluate(name: str, settings: Sequence[str]) -> Result:
    """Results of an entry for "key=value" settings; ValueError of one line for anything that is not allowed."""
    entry = find(name)
    where = f"theory {entry.name}"
    values = read_arguments(entry.arguments, settings, where)
    try:
        return entry.compute(**values)
    except ValueError as error:
        raise ValueError(f"{where}: {error}") from None


def to_json(result: Result) -> str:
    """One JSON object; what is not finite becomes null."""
    return json.dumps(finite(result), allow_nan=False)


def to_table(name: str, result: Result) -> Table:
    """One line a result: key, value, meaning."""
    values = {key: f"{value:.12g}" if isinstance(value, float) else f"{value}" for key, value in result.items()}
    width, wide = max(map(len, values)), max(map(len, values.values()))
    meanings = ENTRIES[name].results
    rows = tuple((key, value, meanings[key]) for key, value in values.items())
    return Table((f"<{width + 2}", f"<{wide + 2}", ""), rows)


def explain(names: Sequence[str]) -> dict[str, dict[str, Any]]:
    """What entries take and give, in plain data."""
    return {
        entry.name: {
            "summary": entry.summary,
            "arguments": {
                a.name: {"meaning": a.meaning, "allowed": a.allowed, "default": a.default_text} for a in entry.arguments
            },
            "results": dict(entry.results),
            "source": entry.source,
        }
        for entry in map(find, names)
    }


def explanation(names: Sequence[str]) -> list[str | Table]:
    """The same to be read."""
    parts: list[str | Table] = []
    for name, told in explain(names).items():
        rows = []
        for key, a in told["arguments"].items():
            default = a["default"] if a["default"] == "required" else f"default {a['default']}"
            rows.append((f"  {key}=", a["meaning"], f"{a['allowed']}; {default}"))
        rows += [(f"  -> {key}", meaning, "") for key, meaning in told["results"].items()]
        widths = (max(len(row[k]) for row in rows) + 2 for k in (0, 1))
        parts += [f"{name}  {told['summary']}", Table((*(f"<{w}" for w in widths), ""), tuple(rows))]
        parts.append(f"  source: {told['source']}\n")
    return [*parts, "tokenlaw theory NAME key=value ... [--json]"]
