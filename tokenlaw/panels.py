"""Curves over depth time, spectra and histograms: one function draws one panel."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from tokenlaw.contents import values_of
from tokenlaw.drawing import Axes, MaxNLocator, NullFormatter

Array = npt.NDArray[np.float64]

__all__ = [
    "certificates",
    "distances",
    "eigenvalues",
    "entropy",
    "exponents",
    "extremes",
    "layer_forms",
    "layer_mixing",
    "node_densities",
    "overlap",
    "pairs",
    "spectrum",
]

# Okabe and Ito: told apart with every kind of colour vision.
BLUE, ORANGE, GREEN, PURPLE, GREY = "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#707070"
DEPTH = "depth time (1)"  # (1): no unit
MARKERS_UP_TO = 30  # values; longer curves carry no markers
OVERLAP_TOKENS = 1000  # tokens whose pairwise overlaps are counted
LAYER_WORK = 2e10  # of singular value decompositions, in units of d^3

DISTANCES: dict[str, tuple[str, dict[str, Any]]] = {
    "coupled_rms": ("token to twin, r.m.s.", {"color": BLUE, "marker": "o"}),
    "w1_geodesic": ("$W_1$ geodesic", {"color": GREEN, "marker": "^"}),
    "w2_chordal": ("$W_2$ chordal", {"color": ORANGE, "marker": "s"}),
    "w2_floor": ("$W_2$ floor (two samples)", {"color": GREY, "marker": "x", "linestyle": "--"}),
}


def curve(axes: Axes, x: Array, y: Array, label: str, **style: Any) -> bool:
    """Draw the values that are finite (on a logarithmic axis: and positive), joined; False if none is."""
    keep = np.isfinite(y) & ((y > 0) | (axes.get_yscale() != "log"))
    if np.count_nonzero(keep) > MARKERS_UP_TO:
        style["marker"] = "none"
    axes.plot(x[keep], y[keep], label=label, **{"linewidth": 1.2, "markersize": 3.2, **style})
    return bool(keep.any())


def largest(values: Array) -> float:
    """Largest number among values; 0 where there is none."""
    known = values[np.isfinite(values)]
    return float(known.max()) if known.size else 0.0


def over_depth(axes: Axes, depth: Array, label: str) -> None:
    """Axis of depth time, the same for every panel of a figure; (1) stands for: no unit."""
    room = 0.02 * float(depth[-1] - depth[0]) or 0.5
    axes.set_xlim(depth[0] - room, depth[-1] + room)
    axes.set_xlabel(DEPTH)
    axes.set_ylabel(label)
    axes.grid(True, which="major", linewidth=0.4, alpha=0.35)


def overlap(axes: Axes, depth: Array, curves: dict[str, Array]) -> None:
    """Mean overlap |mean token|^2; the first measure as a line, the second dashed with open markers."""
    styles: list[dict[str, Any]] = [
        {"color": BLUE},
        {"color": ORANGE, "linestyle": "--", "marker": "o", "markerfacecolor": "none"},
    ]
    if len(depth) == 1:
        styles[0]["marker"] = "s"
    for (name, values), style in zip(curves.items(), styles, strict=False):
        if len(depth) > MARKERS_UP_TO and "marker" in style:
            style = {**style, "markevery": -(-len(depth) // MARKERS_UP_TO)}
            axes.plot(depth, values, label=name, linewidth=1.2, markersize=3.2, **style)
        else:
            curve(axes, depth, values, name, **style)
    over_depth(axes, depth, r"mean overlap  $|\langle x \rangle|^2$  (1)")
    top = max(largest(values) for values in curves.values())
    axes.set_ylim(0.0, max(1.08 * top, 1e-3))
    axes.ticklabel_format(axis="y", scilimits=(-2, 4))
    if len(curves) > 1:
        axes.legend(loc="best", frameon=False)


def distances(axes: Axes, depth: Array, dataset: xr.Dataset) -> None:
    """Distances of a compare file on a logarithmic axis; a distance of 0 (twins at the start) is left out."""
    axes.set_yscale("log")
    drawn = [
        curve(axes, depth, dataset[name].values, label, **{"linewidth": 1.2, **style})
        for name, (label, style) in DISTANCES.items()
        if name in dataset
    ]
    over_depth(axes, depth, "distance, tokens to density (radii)")
    finish_log(axes, any(drawn), "no distance was computed")


def certificates(axes: Axes, depth: Array, dataset: xr.Dataset) -> None:
    """Estimated error at a point (or the tail of the spectrum), moment_defect: what the run says of its resolution."""
    axes.set_yscale("log")
    local = "local_error" if "local_error" in dataset else "spectral_tail"
    series = {
        local: (local.replace("_", " "), ORANGE, "o"),
        "moment_defect": ("moment defect", BLUE, "s"),
    }
    drawn = [
        curve(axes, depth, dataset[name].values, label, color=color, marker=marker)
        for name, (label, color, marker) in series.items()
        if name in dataset
    ]
    over_depth(axes, depth, "certificates (1)")
    finish_log(axes, any(drawn), "no positive value recorded")


def extremes(axes: Axes, depth: Array, highest: Array, smallest: Array, unit: str) -> None:
    """Largest and smallest density on the grid; a negative minimum by its modulus, in its own colour."""
    axes.set_yscale("log")
    drawn = [curve(axes, depth, highest, "max", color=BLUE, marker="o"), bool((smallest != 0).any())]
    if (smallest > 0).any():
        curve(axes, depth, np.where(smallest > 0, smallest, np.nan), "min", color=GREEN, marker="s")
    if (smallest < 0).any():
        modulus = np.where(smallest < 0, -smallest, np.nan)
        curve(axes, depth, modulus, "|min| where negative", color=ORANGE, marker="v", linestyle=":")
    over_depth(axes, depth, f"density (per {unit})")
    if largest(highest) > 0:
        axes.set_ylim(bottom=max(axes.get_ylim()[0], 1e-10 * largest(highest)))
    finish_log(axes, any(drawn), "no positive value recorded")


def entropy(axes: Axes, depth: Array, values: Array, d: int) -> None:
    """Entropy over depth, below that of the uniform law on S^(d-1), d = 2 or 3."""
    most, label = np.log(2 * (d - 1) * np.pi), rf"uniform, $\log {2 * (d - 1)}\pi$"
    axes.axhline(most, color=GREY, linewidth=0.8, linestyle="--", label=label)
    curve(axes, depth, values, "", color=BLUE, marker="o")
    over_depth(axes, depth, r"entropy  $-\int \rho \log \rho$  (nats)")
    axes.legend(loc="best", frameon=False)


def exponents(axes: Axes, depth: Array, values: Array) -> None:
    """Finite-time Lyapunov exponents (depth_time, exponent), mean over the mass; NaN at depth 0."""
    axes.axhline(0.0, color=GREY, linewidth=0.8, linestyle="--")
    for k, (color, marker) in zip(range(values.shape[1]), ((BLUE, "o"), (ORANGE, "s")), strict=False):
        curve(axes, depth, values[:, k], rf"$\lambda_{k + 1}$", color=color, marker=marker)
    over_depth(axes, depth, "Lyapunov exponents (per depth)")
    if not np.isfinite(values).any():
        finish_log(axes, False, "none at depth 0")
        return
    axes.legend(loc="best", frameon=False)


def node_densities(
    axes: Axes, depth: Array, log_density: Array, weights: Array, on_grid: Array | None, unit: str
) -> None:
    """Density at the carried nodes (depth_time, node): largest, median and decile over the mass, beside the grid's."""
    axes.set_yscale("log")
    weights = np.nan_to_num(weights)
    weights = weights / weights.sum() if weights.sum() > 0 else np.full(len(weights), 1 / len(weights))
    known = np.where(np.isfinite(log_density), log_density, -np.inf)
    order = np.argsort(known, axis=1)
    share = np.cumsum(weights[order], axis=1)
    at = {q: order[np.arange(len(order)), (share < q).sum(axis=1).clip(max=len(weights) - 1)] for q in (0.1, 0.5)}
    by_node = {text: known[np.arange(len(order)), at[q]] for q, text in ((0.5, "median"), (0.1, "lowest tenth"))}
    drawn = [curve(axes, depth, powers(known.max(axis=1)), "max, nodes", color=BLUE, marker="o")]
    if on_grid is not None:
        drawn.append(curve(axes, depth, on_grid, "max, grid", color=GREY, linestyle="--", marker="x"))
    for (text, values), (color, marker) in zip(by_node.items(), ((GREEN, "s"), (ORANGE, "v")), strict=True):
        drawn.append(curve(axes, depth, powers(values), text, color=color, marker=marker))
    over_depth(axes, depth, f"density at the mass (per {unit})")
    finish_log(axes, any(drawn), "no finite value recorded")


def powers(logs: Array) -> Array:
    """Exponentials, NaN where they are no numbers that can be drawn."""
    with np.errstate(over="ignore"):
        values = np.exp(logs)
    return np.where(values < 1e150, values, np.nan)


def finish_log(axes: Axes, drawn: bool, otherwise: str) -> None:
    """Legend and limits of a logarithmic panel, room for the legend; a sentence where nothing was drawn."""
    if not drawn:
        axes.set_yscale("linear")
        axes.set_yticks([])
        axes.text(0.5, 0.5, otherwise, transform=axes.transAxes, ha="center", color=GREY)
        return
    low, high = axes.get_ylim()
    if high < 20 * low:
        low, high = np.sqrt(low * high / 20), np.sqrt(low * high * 20)
    axes.yaxis.set_minor_formatter(NullFormatter())
    axes.set_ylim(low, high * (high / low) ** 0.28)
    axes.legend(
        loc="upper center", frameon=False, ncols=2, columnspacing=0.9, handlelength=1.6, handletextpad=0.5
    )


def spectrum(axes: Axes, depth: Array, second_moment: Array) -> None:
    """Eigenvalues of the second moment (depth_time, d, d), the eight largest; they sum to 1 on the sphere."""
    values = eigenvalues(second_moment)
    shown = min(values.shape[1], 8)
    for k in range(shown):
        curve(axes, depth, values[:, k], "", color=BLUE, alpha=1.0 - 0.8 * k / shown, marker="o")
    part = f", {shown} of {values.shape[1]}" if shown < values.shape[1] else ""
    over_depth(axes, depth, "second-moment eigenvalues (1)" if not part else f"eigenvalues (1){part}")
    axes.set_ylim(0.0, 1.05 * largest(values) or 1.0)


def eigenvalues(moments: Array) -> Array:
    """Eigenvalues (depth_time, d) of second moments (depth_time, d, d), falling; NaN where one is not known."""
    known = np.isfinite(moments).all(axis=(1, 2))
    values = np.full(moments.shape[:2], np.nan)
    values[known] = np.linalg.eigvalsh(moments[known])[:, ::-1]
    return values


def pairs(axes: Axes, tokens: list[Array], labels: list[str], unit: bool) -> None:
    """Histograms of <x_i, x_j>, i < j, at one or two records, among at most 1,000 tokens of each."""
    values = [overlaps(x) for x in tokens]
    if not all(map(len, values)):
        axes.text(0.5, 0.5, "less than two tokens: no pairs", transform=axes.transAxes, ha="center", color=GREY)
        return
    low, high = (-1.0, 1.0) if unit else (min(v.min() for v in values), max(v.max() for v in values))
    if not high > low:
        low, high = low - 0.5, high + 0.5
    found: list[Array] = []
    for sample, label, color in zip(values, labels, (GREY, BLUE), strict=False):
        counts, edges = np.histogram(np.clip(sample, low, high), bins=60, range=(low, high))
        share = counts / counts.sum()
        found.append(share[share > 0])
        axes.stairs(share, edges, fill=True, color=color, alpha=0.25)
        axes.stairs(share, edges, color=color, linewidth=1.2, label=label)
    wide = np.ptp(np.log10(np.concatenate(found))) > 1  # below a decade a logarithmic axis has labels at every tick
    axes.set_yscale("log" if wide else "linear")
    axes.set_xlim(low, high)
    axes.set_xlabel(r"pairwise overlap  $\langle x_i, x_j \rangle$  (1)")
    axes.set_ylabel("share of pairs in a bin (1)")
    axes.grid(True, which="major", linewidth=0.4, alpha=0.35)
    low_share, high_share = axes.get_ylim()
    axes.set_ylim(low_share, high_share * ((high_share / low_share) ** 0.2 if wide else 1.15))
    axes.legend(loc="upper center", frameon=False, ncols=2)


def overlaps(points: Array) -> Array:
    """Overlaps <x_i, x_j>, i < j, of evenly spaced tokens, at most 1,000 of the (n, d) given."""
    n = len(points)
    chosen = points[np.linspace(0, n - 1, min(n, OVERLAP_TOKENS)).round().astype(int)]
    return np.asarray((chosen @ chosen.T)[np.triu_indices(len(chosen), 1)])


def layer_mixing(axes: Axes, mixing: Array) -> None:
    """Singular values of the mixing matrices (layer, head, d, d) by layer: largest, r.m.s. and smallest."""
    shown = affordable(mixing.shape)
    values = singular_values(mixing[shown])
    series = {
        "largest": (values[..., 0], BLUE, "o"),
        "r.m.s.": (np.sqrt((values**2).mean(axis=-1)), ORANGE, "s"),
        "smallest": (values[..., -1], GREEN, "^"),
    }
    for name, (by_head, color, marker) in series.items():
        curve(axes, shown.astype(float), by_head.mean(axis=1), name, color=color, marker=marker)
        axes.fill_between(
            shown, by_head.min(axis=1), by_head.max(axis=1), color=color, alpha=0.2, linewidth=0
        )
    part = "" if len(shown) == len(mixing) else f"; {len(shown)} of {len(mixing)} drawn"
    axes.set_xlabel(f"layer (number{part})")
    axes.set_ylabel("singular values of mixing (1)")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_ylim(0.0, 1.25 * largest(values) or 1.0)
    axes.grid(True, linewidth=0.4, alpha=0.35)
    axes.legend(loc="upper center", frameon=False, ncols=3, title="mean over heads; band: all heads")


def singular_values(matrices: Array) -> Array:
    """Singular values (..., k), falling, of matrices (..., m, n); NaN where one is not known."""
    known = np.isfinite(matrices).all(axis=(-2, -1))
    values = np.full((*matrices.shape[:-2], min(matrices.shape[-2:])), np.nan)
    values[known] = np.linalg.svd(matrices[known], compute_uv=False)
    return values


def layer_forms(axes: Axes, dataset: xr.Dataset) -> None:
    """Histogram of beta |A_m| (spectral norm) over the heads of all layers; A = key^T query."""
    beta = dataset.attrs.get("beta")
    beta = float(beta) if isinstance(beta, int | float | np.number) and np.isfinite(beta) else None
    norms = form_norms(dataset).ravel() * (1.0 if beta is None else beta)
    norms = norms[np.isfinite(norms)]
    if norms.size:
        alike = np.ptp(norms) < 1e3 * abs(float(np.median(norms)))  # else the rule would make bins without end
        axes.hist(norms, bins="auto" if alike else 60, color=BLUE, alpha=0.35, edgecolor=BLUE)
    axes.set_xlabel(r"$|A|$  (1; the file has no $\beta$)" if beta is None else r"$\beta\,|A|$  (1)")
    axes.set_ylabel("heads (number)")
    axes.yaxis.set_major_locator(MaxNLocator(integer=True))
    axes.grid(True, linewidth=0.4, alpha=0.35)


def form_norms(dataset: xr.Dataset) -> Array:
    """Spectral norms |A_m| (layer, head) of evenly spaced layers; NaN where a matrix is not known."""
    if "query_key" in dataset:
        forms = values_of(dataset, "query_key")
        return singular_values(forms[affordable(forms.shape)])[..., 0]
    key, query = (values_of(dataset, name) for name in ("key", "query"))
    shown = affordable((*key.shape[:2], key.shape[-1]))
    # |key^T query| = |R_key R_query^T| with key^T = Q_key R_key, and so for query
    small = [np.linalg.qr(np.swapaxes(x[shown], -1, -2))[1] for x in (key, query)]
    return singular_values(small[0] @ np.swapaxes(small[1], -1, -2))[..., 0]


def affordable(shape: tuple[int, ...]) -> npt.NDArray[np.int64]:
    """Evenly spaced layers of an array (layer, head, d, d) whose decompositions take some seconds at most."""
    n_layers, n_heads, d = shape[:3]
    count = min(n_layers, max(2, int(LAYER_WORK / (n_heads * float(d) ** 3))))
    return np.unique(np.linspace(0, n_layers - 1, count).round().astype(np.int64))
