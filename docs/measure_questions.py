"""Numbers and pictures of the page "Questions about architectures":  python docs/measure_questions.py [NAME ...]

Each question is one function: it runs chains of overlaps (particles.networks), draws docs/questions/NAME.png and hands
back the numbers that the page quotes, kept in docs/questions/numbers.json.
"""

import json
import math
import sys
from dataclasses import replace
from datetime import date
from pathlib import Path

import numpy as np

from particles import ACTIVATIONS
from particles.networks import (
    MLP,
    Independent,
    LeCun,
    Network,
    NoNorm,
    PeriNorm,
    PerMatrix,
    PostNorm,
    PreNorm,
    RoPE,
    SelfAttention,
    Simplex,
)
from tokenlaw.pictures.drawing import new_figure, own_style
from tokenlaw.pictures.panel_plots import draw_panel
from tokenlaw.pictures.panels import COLOURS, Panel, Series

HERE = Path(__file__).parent / "questions"
D, TOKENS, LAYERS, NETWORKS = 256, 64, 24, 16
GELU = MLP(ACTIVATIONS["gelu"], 4 * D)
PLAIN = Network(D, LAYERS, SelfAttention(8, 32, causal=True, positions=RoPE()), GELU, initialisation=LeCun())
START = Independent(TOKENS)
LAYER = "layer (number)"


@own_style()
def drawn(name, *panels):
    """A picture of panels side by side."""
    figure = new_figure(4.6 * len(panels), 3.8, layout="constrained")
    for axes, panel in zip(np.atleast_1d(figure.subplots(1, len(panels))), panels, strict=True):
        draw_panel(axes, panel)
        axes.set_title(panel.heading, fontsize=10)
        if panel.x_log:
            axes.set_xticks(panel.series[0].x, [f"{value:g}" for value in panel.series[0].x])
            axes.minorticks_off()
    figure.savefig(HERE / f"{name}.png", dpi=110)


def curves(found, variable, log=False):
    """A curve of the mean over networks for each case, with standard errors."""
    series = []
    for colour, (label, one) in zip(COLOURS, found.items(), strict=False):
        values = np.log(one[variable]) if log else one[variable]
        mean, error = values.mean("network").values, values.std("network").values / math.sqrt(one.sizes["network"])
        if log:
            mean, error = np.exp(mean), np.exp(mean) * error
        bars = None if len(mean) > 30 else error
        series.append(Series(label, one.layer.values, mean, colour, marked=False, error=bars))
    return tuple(series)


def over(name, x_label, x, told, panels):
    """A picture of curves by case over a logarithmic x; panels: (key, heading, label of y, y logarithmic)."""
    drawn(name, *(
        Panel(key, heading, x_label, y_label, tuple(
            Series(label, np.array(x), np.array(one[key]), colour)
            for colour, (label, one) in zip(COLOURS, told.items(), strict=False)
        ), x_log=True, y_log=y_log)
        for key, heading, y_label, y_log in panels
    ))  # fmt: skip


def last(found, variable):
    """Mean at the last layer and its standard error, by case."""
    return {
        label: [float(one[variable][:, -1].mean()), float(one[variable][:, -1].std() / math.sqrt(one.sizes["network"]))]
        for label, one in found.items()
    }


def growth():
    """Why do activations grow, and does it matter?"""
    cases = {
        "pre-norm": PLAIN, "pre-norm, depth-scaled": replace(PLAIN, depth_scaled=True),
        "post-norm": replace(PLAIN, placement=PostNorm()),
    }  # fmt: skip
    found = {label: net.chain(START, NETWORKS, gradients=True) for label, net in cases.items()}
    drawn(
        "growth",
        Panel("radius", "length of the stream", LAYER, "r.m.s. of an entry", curves(found, "radius")),
        Panel("overlap", "overlap of the tokens", LAYER, "mean cosine", curves(found, "overlap")),
        Panel("gradient", "gradient over that at the last layer", LAYER, "mean square",
              curves(found, "gradient", True), y_log=True),
    )  # fmt: skip
    return {name: last(found, name) for name in ("radius", "overlap")} | {
        "gradient at layer 0": {label: float(np.exp(np.log(one.gradient[:, 0]).mean())) for label, one in found.items()}
    }


def depth():
    """1/sqrt(L) or not?"""
    depths, found = (6, 12, 24, 48, 96), {}
    for label, scaled in (("branches as they are", False), ("output matrices times (2L)^-1/2", True)):
        for count in depths:
            net = replace(PLAIN, layers=count, depth_scaled=scaled)
            found[label, count] = net.chain(START, 8, gradients=True)
    told = {
        label: {
            "overlap": [float(found[label, count].overlap[:, -1].mean()) for count in depths],
            "gradient": [float(np.exp(np.log(found[label, count].gradient[:, 0]).mean())) for count in depths],
        }
        for label, _ in found
    }
    over("depth", "layers (number)", depths, told, (
        ("overlap", "overlap after the last layer", "mean cosine", False),
        ("gradient", "gradient at the start over that at the end", "mean square", True),
    ))  # fmt: skip
    return {"layers": depths} | told


def placement():
    """Which norm placement delays collapse?"""
    kinds = {"pre-norm": PreNorm(), "post-norm": PostNorm(), "peri-norm": PeriNorm(), "no norm": NoNorm()}
    nets = {label: replace(PLAIN, layers=48, placement=kind) for label, kind in kinds.items()}
    found = {label: net.chain(START, 8, gradients=True) for label, net in nets.items()}
    drawn(
        "placement",
        Panel("gap", "1 - overlap", LAYER, "1 - mean cosine", curves(found, "gap", True), y_log=True),
        Panel("gradient", "gradient over that at the last layer", LAYER, "mean square",
              curves(found, "gradient", True), y_log=True),
    )  # fmt: skip
    return {"gap": last(found, "gap"), "gradient at layer 0": {
        label: float(np.exp(np.log(one.gradient[:, 0]).mean())) for label, one in found.items()}}  # fmt: skip


def context():
    """Do longer contexts need scores that grow like log n?"""
    sizes, told = (16, 32, 64, 128, 256, 512), {}
    for label, grows in (("scores as they are", False), ("scores times log n / log 64", True)):
        keys, overlaps = [], []
        for n in sizes:
            attention = SelfAttention(8, 32, score_scale=2 * (math.log(n) / math.log(64) if grows else 1))
            found = replace(PLAIN, layers=12, attention=attention).chain(Independent(n), max(4, 2048 // n))
            keys.append(float(found.effective_keys[:, 1].mean()) / n)
            overlaps.append(float(found.overlap[:, -1].mean()))
        told[label] = {"keys": keys, "overlap": overlaps}
    over("context", "tokens (number)", sizes, told, (
        ("keys", "share of the keys that are seen, first layer", "effective keys over n", True),
        ("overlap", "overlap after 12 layers", "mean cosine", False),
    ))  # fmt: skip
    return {"tokens": sizes} | told


def temperature():
    """QK-norm and temperature."""
    scales, told = (0.5, 1.0, 2.0, 4.0, 8.0), {}
    for label, normed in (("plain", False), ("QK-norm", True)):
        one = {"overlap": [], "scores": []}
        for scale in scales:
            matrices = PerMatrix(*(math.sqrt(scale / D),) * 2, *(1 / math.sqrt(D),) * 4, down=1 / math.sqrt(4 * D))
            attention = replace(PLAIN.attention, qk_norm=normed)
            found = replace(PLAIN, attention=attention, initialisation=matrices).chain(START, 8)
            one["overlap"].append(float(found.overlap[:, -1].mean()))
            one["scores"].append(float(found.score_std[:, 1].mean()))
        told[label] = one
    over("temperature", "variance of queries and keys", scales, told, (
        ("scores", "scores of the first layer", "standard deviation", True),
        ("overlap", f"overlap after {LAYERS} layers", "mean cosine", False),
    ))  # fmt: skip
    return {"variance": scales} | told


def groups():
    """Do grouped queries change anything at initialisation?"""
    found = {
        f"{count} of 8": replace(PLAIN, attention=replace(PLAIN.attention, kv_heads=count)).chain(START, 24)
        for count in (8, 4, 2, 1)
    }
    drawn("groups", Panel("overlap", "overlap of the tokens", LAYER, "mean cosine", curves(found, "overlap"),
                          legend_title="keys and values"))  # fmt: skip
    spread = {label: float(one.overlap[:, -1].std()) for label, one in found.items()}
    return {"overlap": last(found, "overlap"), "spread over networks": spread}


def trainability():
    """Where gradient and angle exponents vanish, of a network whose MLP has tanh: it parts tokens at large scales."""
    steps, values, told = np.geomspace(0.1, 3, 7), np.geomspace(0.3, 10, 8), {}
    tanh = MLP(ACTIVATIONS["tanh"], 4 * D)
    for label, kind in (("pre-norm", PreNorm()), ("post-norm", PostNorm())):
        angle, gradient = np.empty((7, 8)), np.empty((7, 8))
        for j, scale in enumerate(values):
            one = 1 / math.sqrt(D)
            matrices = PerMatrix(one, one, scale * one, one, scale * one, 0, scale * one / 2)
            for i, step in enumerate(steps):
                net = replace(PLAIN, layers=8, placement=kind, initialisation=matrices, residual_scale=float(step))
                net = replace(net, mlp=tanh)
                found = net.chain(Simplex(24, 0.99), 4, gradients=True)
                angle[i, j] = float((found.log_gap[:, 4] - found.log_gap[:, 1]).mean()) / 3
                gradient[i, j] = float((np.log(found.gradient[:, 1]) - np.log(found.gradient[:, 6])).mean()) / 5
        told[label] = {"angle": angle.tolist(), "gradient": gradient.tolist()}
    _maps(steps, values, told)
    return {"residual scale": steps.tolist(), "value scale": values.tolist()} | told


@own_style()
def _maps(steps, values, told):
    figure = new_figure(9.2, 7.0, layout="constrained")
    for line, (label, one) in zip(figure.subplots(2, 2), told.items(), strict=True):
        for axes, name in zip(line, ("angle", "gradient"), strict=True):
            most = max(0.05, float(np.abs(one[name]).max()))
            field = np.array(one[name])
            mesh = axes.pcolormesh(values, steps, field, cmap="RdBu_r", vmin=-most, vmax=most, shading="nearest")
            if np.min(one[name]) < 0 < np.max(one[name]):
                axes.contour(values, steps, np.array(one[name]), levels=[0.0], colors="black", linewidths=1.2)
            axes.set(xscale="log", yscale="log", xlabel="scale of values and MLP", ylabel="residual scale",
                     title=f"{label}: {name} exponent per layer")  # fmt: skip
            axes.set_xticks([0.3, 1, 3, 10], ["0.3", "1", "3", "10"])
            axes.set_yticks([0.1, 0.3, 1, 3], ["0.1", "0.3", "1", "3"])
            axes.minorticks_off()
            figure.colorbar(mesh, ax=axes)
    figure.savefig(HERE / "trainability.png", dpi=110)


def long_context():
    """Gaussian scores: how much of a long context a token sees."""
    rng, sizes, told = np.random.default_rng(0), (512, 4096, 32768, 131072), {}
    ratios = (0.35, 0.5, 0.7071, 1.0, 1.4142, 2.0)
    for n in sizes:
        draws, row = max(40, (1 << 22) // n), []
        for ratio in ratios:
            squares = np.empty(draws)
            for k in range(draws):
                scores = ratio * math.sqrt(math.log(n)) * rng.standard_normal(n)
                weights = np.exp(scores - scores.max())
                squares[k] = np.sum(weights**2) / weights.sum() ** 2
            row.append([float(squares.mean()), float(squares.std() / math.sqrt(draws))])
        told[f"n = {n:,}"] = row
    n, top = sizes[-1], math.sqrt(2)
    sharp = [n ** (b * b - 1) if b < 0.7072 else n ** -((top - b) ** 2) if b < 1.3 else math.nan for b in ratios[:-1]]
    sharp.append(1 - top / ratios[-1])
    series = [Series(label, np.array(ratios), np.array([f for f, _ in row]), colour)
              for colour, (label, row) in zip(COLOURS, told.items(), strict=False)]  # fmt: skip
    series.append(Series("exponents alone, n = 131,072", np.array(ratios), np.array(sharp), "#707070", "--"))
    drawn("long_context", Panel("f", "weight that falls on few keys", "score deviation over (log n)^1/2",
                                "mean of the sum of squared weights", tuple(series), y_log=True))  # fmt: skip
    return {"ratios": ratios} | told


ALL = (growth, depth, placement, context, temperature, groups, trainability, long_context)
QUESTIONS = {one.__name__: one for one in ALL}


def main():
    path = HERE / "numbers.json"
    kept = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    for name in sys.argv[1:] or QUESTIONS:
        kept[name] = QUESTIONS[name]() | {"date": date.today().isoformat()}
        path.write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")
        print(name, json.dumps(kept[name])[:1500])


if __name__ == "__main__":
    main()
