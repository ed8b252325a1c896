"""`tokenlaw theory`: exact one-dimensional and closed-form results by name.

An entry is one object of the table below: what it is called, what it takes, what it gives, and the function that
computes it.  Numerical packages are imported by that function, not here, so that the command starts at once.
"""

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from tokenlaw.config_io import show
from tokenlaw.tables import Table
from tokenlaw.theory_arguments import Argument, Derived, File, Real, Whole, Word, nearest, read_arguments

if TYPE_CHECKING:
    from rich.console import RenderableType

Result = Mapping[str, Any]


@dataclass(frozen=True)
class Entry:
    """A result that can be asked for.

    Attributes
    ----------
    name, summary : as the user sees them.
    arguments : what it takes, in the order of the explanation.
    results : key -> meaning.
    source : where the formulas stand.
    compute : keyword arguments -> key -> number, list of numbers, or None; exactly the keys of `results`.
    """

    name: str
    summary: str
    arguments: tuple[Argument, ...]
    results: Mapping[str, str]
    source: str
    compute: Callable[..., Result]


def _values_only(d: int, beta: float, u0: float) -> Result:
    from particles.reduced import ValuesOnly

    law = ValuesOnly(d, beta)
    return {"critical_beta": law.critical_beta, "antipodal_probability": law.antipodal_probability(u0)}


def _mlp_kernel(activation: str, d: int, sigma_r: float, sigma_w: float) -> Result:
    from particles import ACTIVATIONS, DualKernel
    from particles.reduced import angle_exponent, mean_exponent

    kernel = DualKernel(ACTIVATIONS[activation], d, sigma_r, sigma_w)
    return {
        "k": float(kernel.value(1.0)),
        "dk": float(kernel.derivative(1.0)),
        "lambda_1": angle_exponent(kernel),
        "lambda_bar": mean_exponent(kernel),
    }


def _low_temperature(d: int, head_dim: int) -> Result:
    from particles.reduced import kappa, low_temperature_exponent

    return {"kappa": kappa(d, head_dim), "exponent": low_temperature_exponent(d, head_dim)}


def _cosine_lemma(d: int, head_dim: int, overlap: float) -> Result:
    from particles.reduced import one_factor_cosine, two_factor_cosine

    return {
        "one_factor": float(one_factor_cosine(overlap, d)),
        "two_factor": float(two_factor_cosine(overlap, d, head_dim)),
    }


def _two_token(d: int, beta: float, sigma_a: float, head_dim: int, overlap: float) -> Result:
    from particles.reduced import TwoTokens

    law = TwoTokens(d, beta, sigma_a, head_dim)
    return {
        "drift": float(law.drift(overlap)),
        "diffusion": float(law.diffusion(overlap)),
        "exponent": law.exponent,
    }


def _simplex(samples: int, seed: int, **parameters: Any) -> Result:
    from particles.reduced import Simplex

    found = Simplex(**parameters).statistics(samples=samples, seed=seed)
    values = {key: getattr(found, key).value for key in ("f", "h", "drift_finite_d", "drift_infinite_d")}
    return {**values, "standard_error": found.drift_finite_d.standard_error}


def _gaussian_closure(attention: str, file: Path) -> Result:
    from particles.closure_files import closure_from_file

    return closure_from_file(file, attention)


_D = Argument("d", "dimension of the tokens", Whole(2))
_D3 = Argument("d", "dimension of the tokens", Whole(3))
_BETA = Argument("beta", "inverse temperature", Real(0.0))
_SIGMA_A = Argument(
    "sigma_a", "standard deviation of the entries of W and W', A = W W'^T", Real(0.0),
    Derived("d^-1/2", lambda values: values["d"] ** -0.5),
)  # fmt: skip
_HEAD_DIM = Argument(
    "head_dim", "inner dimension of A, at most d", Whole(1), Derived("d", lambda values: values["d"])
)
_OVERLAP = Argument("overlap", "overlap R of the two tokens", Real(-1.0, 1.0))

_TABLE: Final = (
    Entry(
        "values-only",
        "Two tokens, A = I, random values: do they end together or opposite?",
        (_D, _BETA, Argument("u0", "overlap at the start", Real(-1.0, 1.0, open_ends=True), 0.0)),
        {
            "critical_beta": "antipodal pairs attract above it, cosh(2 beta) = d - 2; 0 for d = 2 and 3",
            "antipodal_probability": "probability that the overlap tends to -1",
        },
        "scale function, mathematics, section 4; Fedorov et al., as reported",
        _values_only,
    ),
    Entry(
        "mlp-kernel",
        "Overlap of two tokens under wide random MLP blocks: kernel and exponents.",
        (
            Argument("activation", "activation function",
                     Word(("relu", "erf", "tanh", "sigmoid", "silu", "gelu", "linear"))),
            _D,
            Argument("sigma_r", "standard deviation of the inner bias", Real(0.0), 0.0),
            Argument("sigma_w", "standard deviation of the outer bias", Real(0.0), 0.0),
        ),
        {
            "k": "k(1), the variance of a component of the block's output",
            "dk": "k'(1)",
            "lambda_1": "exponent of the angle of two near tokens; negative: they meet",
            "lambda_bar": "exponent of the mean of 1 - R of two near tokens",
        },
        "mathematics, sections 3 and 4; Agazzi et al.",
        _mlp_kernel,
    ),
    Entry(
        "low-temperature",
        "Infinitely many tokens, then beta -> infinity: does the overlap collapse?",
        (_D3, _HEAD_DIM),
        {
            "kappa": "3/2 + d/(2 head_dim): below 2 collapse, above 2 none",
            "exponent": "limit of log(1 - R)/t, diffusive time; infinite (null in JSON) for head_dim <= 2, d >= 4",
        },
        "mathematics (8)",
        _low_temperature,
    ),
    Entry(
        "cosine-lemma",
        "Mean cosine E <Ax/|Ax|, Ay/|Ay|> of two images under random matrices.",
        (_D, _HEAD_DIM, Argument("overlap", "overlap of x and y", Real(-1.0, 1.0))),
        {"one_factor": "A with independent Gaussian entries", "two_factor": "A = W W'^T"},
        "mathematics (8)",
        _cosine_lemma,
    ),
    Entry(
        "two-token",
        "Overlap R of two tokens that attend to each other; diffusive time, sigma_v^2 = 1/d.",
        (_D, _BETA, _SIGMA_A, _HEAD_DIM, _OVERLAP),
        {
            "drift": "drift of R",
            "diffusion": "diffusion coefficient of R",
            "exponent": "limit of log(1 - R)/t once they are near: -(d - 1)/d at every beta",
        },
        "mathematics (7), attention by quadrature",
        _two_token,
    ),
    Entry(
        "simplex",
        "n tokens of equal overlaps: attention statistics and drift of the overlap, by Monte Carlo over heads.",
        (
            _D,
            Argument("n", "number of tokens", Whole(2, 10**5)),
            _BETA,
            _SIGMA_A,
            _HEAD_DIM,
            Argument("overlap", "overlap of every two tokens, at least -1/(n - 1)", Real(-1.0, 1.0)),
            Argument("samples", "number of heads drawn", Whole(2, 10**8),
                     Derived("2^23/n, between 2^10 and 2^20", lambda v: min(max(2**23 // v["n"], 2**10), 2**20))),
            Argument("seed", "of the random numbers", Whole(0, 2**32 - 1), 0),
        ),
        {
            "f": "E sum_k pi_ik^2 over the attention weights pi of a token",
            "h": "E sum_k pi_ik pi_jk of two tokens",
            "drift_finite_d": "drift of the overlap, diffusive time, sigma_v^2 = 1/d",
            "drift_infinite_d": "the same in the limit d -> infinity",
            "standard_error": "of drift_finite_d",
        },
        "mathematics, section 4",
        _simplex,
    ),
    Entry(
        "gaussian-closure",
        "Gaussian tokens in R^d stay Gaussian: mean and covariance under given heads, and when they blow up.",
        (
            Argument("attention", "kernel of the heads", Word(("softmax", "l2", "sinkhorn", "linear"))),
            Argument("file", "NetCDF file with V, Q, K, mean, covariance, t_end and, if wanted, beta", File()),
        ),
        {
            "mean": "at t_end; null when the blow-up comes first",
            "covariance": "at t_end; null when the blow-up comes first",
            "blow_up_time": "when the covariance becomes infinite; null when it does not up to t_end",
        },
        "mathematics, section 6; Castin, Ablin, Carrillo and Peyre, arXiv 2501.18322",
        _gaussian_closure,
    ),
)  # fmt: skip

ENTRIES: Final[Mapping[str, Entry]] = {entry.name: entry for entry in _TABLE}


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
    return json.dumps({key: _finite(value) for key, value in result.items()}, allow_nan=False)


def to_table(name: str, result: Result) -> Table:
    """One line a result: key, value, meaning."""
    values = {key: f"{value:.12g}" if isinstance(value, float) else f"{value}" for key, value in result.items()}
    width, wide = max(map(len, values)), max(map(len, values.values()))
    meanings = ENTRIES[name].results
    rows = tuple((key, value, meanings[key]) for key, value in values.items())
    return Table((f"<{width + 2}", f"<{wide + 2}", ""), rows)


def _finite(value: Any) -> Any:
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def list_json(names: Sequence[str]) -> str:
    """What `list_table` says, as JSON."""
    return json.dumps(
        {
            entry.name: {
                "summary": entry.summary,
                "arguments": {
                    a.name: {"meaning": a.meaning, "allowed": a.kind.allowed, "default": a.default_text}
                    for a in entry.arguments
                },
                "results": dict(entry.results),
                "source": entry.source,
            }
            for entry in map(find, names)
        },
        indent=2,
    )


def list_table(names: Sequence[str]) -> "RenderableType":
    """Explanation of entries: what each takes and gives."""
    from rich.console import Group
    from rich.padding import Padding
    from rich.table import Table
    from rich.text import Text

    parts: list[RenderableType] = []
    for entry in map(find, names):
        table = Table(box=None, show_header=False, pad_edge=False)
        for style in ("cyan", "", "dim"):
            table.add_column(style=style, overflow="fold")
        for a in entry.arguments:
            default = "required" if a.default_text == "required" else f"default {a.default_text}"
            table.add_row(f"{a.name}=", a.meaning, f"{a.kind.allowed}; {default}")
        for key, meaning in entry.results.items():
            table.add_row(f"-> {key}", meaning, "")
        parts += [
            Text.assemble((entry.name, "bold"), f"  {entry.summary}"),
            Padding(table, (0, 0, 0, 2)),
            Text(f"  source: {entry.source}\n", style="dim"),
        ]
    parts.append(Text("tokenlaw theory NAME key=value ... [--json]"))
    return Group(*parts)
