"""`tokenlaw predict`: how the overlap of tokens grows through a random transformer of a given size.

The forecast is `particles.reduced.forecasting`, published architectures are in `tokenlaw.answers.presets`, pictures in
`tokenlaw.pictures.studies`; here are the advice, the words and the maps.
Numerical packages are imported where they are used, so that the command starts at once.
"""

import json
import math
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from tokenlaw.answers.presets import PRESETS, Preset
from tokenlaw.tables import Table

if TYPE_CHECKING:
    import xarray as xr

    from particles.reduced import Architecture, Forecast

REALIZATIONS: Final = 2000  # with 400 the share of networks within the band is off by 0.03
LARGEST: Final = 1e6  # of a scale: beyond it numbers leave their range, and no network is there
LIMITS: Final[dict[str, tuple[float, float]]] = {
    "d_model": (3, 65536), "heads": (1, 65536), "head_dim": (1, 65536), "context": (2, 10**9), "layers": (1, 10_000),
    "residual_scale": (0, LARGEST), "sigma_v": (0, LARGEST), "sigma_a": (0, LARGEST), "beta": (0, LARGEST),
    "mlp_gain": (1e-6, 30), "mlp_scale": (0, LARGEST), "overlap0": (0, 1),
}  # fmt: skip
MAPS: Final = {
    "head-dim,beta": ("head dimension", "beta over its given value"),
    "context,d-model": ("context length n", "dimension d of the tokens"),
}


def architecture(settings: Mapping[str, Any]) -> "Architecture":
    """The architecture of a set of options; defaults: sigma_v = d^-1/2, sigma_a = 1, beta = head_dim^-1/2."""
    from particles import ACTIVATIONS
    from particles.reduced import Architecture, MLPKernel

    for key, (least, most) in LIMITS.items():
        value = settings.get(key)
        if value is not None and not least <= value <= most:  # written so that NaN is caught
            option = key.replace("_", "-")
            shown = value if isinstance(value, float) or abs(value) < 10**12 else float(min(value, 10**300))
            raise ValueError(f"--{option}: must be from {least:g} to {most:g}, got {shown:g}")
    name = settings.get("mlp")
    name = None if name == "none" else name
    if name is not None and name not in ACTIVATIONS:
        raise ValueError(f"--mlp: must be none or one of {', '.join(ACTIVATIONS)}, got {name}")
    unused = [option for option in ("mlp_gain", "mlp_scale") if name is None and settings.get(option) is not None]
    if unused and settings.get("mlp") is None:
        raise ValueError(f"--{unused[0].replace('_', '-')}: needs --mlp, one of {', '.join(ACTIVATIONS)}")
    d, heads, head_dim = settings["d_model"], settings["heads"], settings.get("head_dim")
    if head_dim is None and d % heads:
        raise ValueError(f"--head-dim: must be given where d-model = {d} is no multiple of heads = {heads}")
    head_dim = head_dim or d // heads
    scales = {"residual_scale": 1.0, "sigma_v": d**-0.5, "sigma_a": 1.0, "beta": head_dim**-0.5, "mlp_gain": 1.0,
              "mlp_scale": 1.0}  # fmt: skip
    scales |= {key: settings[key] for key in scales if settings.get(key) is not None}
    return Architecture(
        d, heads, head_dim, settings["context"], settings["layers"],
        eta=scales["residual_scale"], sigma_v=scales["sigma_v"], sigma_a=scales["sigma_a"], beta=scales["beta"],
        mlp=None if name is None else MLPKernel(ACTIVATIONS[name], scales["mlp_gain"]),
        mlp_scale=0.0 if name is None else scales["mlp_scale"],
        pre_norm=bool(settings.get("pre_norm")), factored=bool(settings.get("factored")),
    )  # fmt: skip


def beginning(preset: Preset | None, settings: Mapping[str, Any]) -> tuple[float, bool]:
    """Mean overlap before the first layer, and whether tokens are drawn, so that it varies: not where it is given."""
    if settings.get("overlap0") is not None:
        return float(settings["overlap0"]), False
    return (0.0, True) if preset is None else (preset.start(), not preset.sinusoidal)


def regime(found: "Forecast") -> str:
    """The course of the overlap in a word.

    collapse : the mean passes 0.99 within the layers.   collapsing : it still rises towards 1.
    arrested : it rises to an overlap below 0.99 at which the drift vanishes.   spreading : it falls.
    constant : nothing moves, every scale is 0.
    """
    if found.architecture.attention_step == 0 and found.architecture.mlp_scale == 0:
        return "constant"
    if found.collapse_layer is not None:
        return "collapse"
    if found.resting_overlap() is not None:
        return "arrested"
    return "collapsing" if found.drift(found.mean[-1:])[0] > 0 else "spreading"


def advice(found: "Forecast", start: float, seed: int, drawn: bool = False) -> list[str]:
    """What one change at a time would do to the collapse, each forecast anew."""
    from particles.reduced import forecast

    a = found.architecture
    smaller = a.head_dim // 4 or (1 if a.head_dim > 1 else min(a.d, 4))
    changes = {
        f"head dimension {smaller} instead of {a.head_dim}": replace(
            a, head_dim=smaller, beta=a.beta * math.sqrt(a.head_dim / smaller)
        ),
        "half the residual scale": replace(a, eta=a.eta / 2, mlp_scale=a.mlp_scale / 2),
        "a quarter of the temperature": replace(a, beta=4 * a.beta),
        "four times the temperature": replace(a, beta=a.beta / 4),
    }
    told = []
    for words, other in changes.items():
        changed = forecast(other, start, realizations=100, seed=seed, drawn=drawn)
        told.append(f"{words}: {_course(changed)}, exponent {changed.exponent() + 0.0:+.3g} per layer")
    return told


def _course(found: "Forecast") -> str:
    layer = found.collapse_layer
    return (
        f"overlap {found.mean[-1]:.3g} after {found.architecture.layers} layers" if layer is None
        else f"collapse at layer {layer}"
    )  # fmt: skip


def omissions(preset: Preset | None, settings: Mapping[str, Any]) -> list[str]:
    """What of the architecture asked for is not in the forecast."""
    told: list[str] = []
    if preset is not None:
        told += preset.not_included
        told += preset.start_not_included if settings.get("overlap0") is None else ()
    if settings.get("mlp") == "silu":
        told.append("gates of a gated MLP (SwiGLU is not silu)")
    return told


def as_json(found: "Forecast", told: list[str], omitted: list[str]) -> str:
    """One JSON object, as docs/forecast.md explains it."""
    low, high = found.band
    return json.dumps({
        "overlap": {"mean": found.mean.tolist(), "low": low.tolist(), "high": high.tolist()},
        "collapse_layer": found.collapse_layer, "regime": regime(found), "exponent": found.exponent(),
        "resting_overlap": found.resting_overlap(), "radius": found.radius.tolist(), "advice": told,
        "not_included": omitted,
    })  # fmt: skip


def as_text(found: "Forecast", told: list[str], omitted: list[str]) -> list[str | Table]:
    """A table of at most a dozen layers, then what it means."""
    a, (low, high) = found.architecture, found.band
    layers = sorted({round(x * a.layers / 11) for x in range(12)})
    rows = tuple((f"{k}", *(f"{value[k]:.4f}" for value in (found.mean, low, high))) for k in layers)
    lines: list[str | Table] = [
        f"d = {a.d}, {a.heads} heads of dimension {a.head_dim}, {a.context} tokens, {a.layers} layers, "
        f"{'pre-norm' if a.pre_norm else 'tokens on the sphere'}, "
        f"standard deviation of the scores {a.beta * a.sigma_a**2 * math.sqrt(a.head_dim):.3g}",
        Table((">5", ">10", ">10", ">10"), rows, ("layer", "overlap", "5 %", "95 %")),
    ]
    kind, rest = regime(found), found.resting_overlap()
    meaning = {
        "collapse": f"collapse: tokens are indistinguishable (overlap above 0.99) from layer {found.collapse_layer} on",
        "collapsing": f"collapsing: overlap {found.mean[-1]:.3g} at the end, and rising; no collapse within the layers",
        "arrested": f"arrested: the overlap settles at about {rest if rest is not None else 0:.3g}",
        "spreading": "spreading: the overlap falls",
        "constant": "constant: no layer moves a token",
    }
    exponent = found.exponent() + 0.0  # not -0
    close = "stay as close as they are" if exponent == 0 else "stay close" if exponent < 0 else "part"
    lines += [
        meaning[kind],
        f"exponent of log(1 - overlap) at 0.99: {exponent:+.3g} per layer (tokens that are close {close})",
    ]
    return [*lines, *_left_out(omitted), *(f"  with {words}" for words in told)]


def _left_out(omitted: list[str]) -> list[str]:
    return [f"not in this forecast: {', '.join(omitted)}"] if omitted else []


def collapse_map(
    kind: str, base: "Architecture", start: float, seed: int, deepest: int = 4096, drawn: bool = False
) -> "xr.Dataset":
    """Collapse depth over two sizes, NaN where the tokens stay distinguishable for `deepest` layers.

    kind : "head-dim,beta" or "context,d-model"; the other sizes are those of `base`, sigma_v follows d^-1/2.
    """
    import numpy as np
    import xarray as xr

    from particles.reduced import forecast

    if kind == "head-dim,beta":
        across = sorted({min(base.d, 2**k) for k in range(1, 11)})
        down = [2.0**k for k in range(-2, 6)]
        cases = [[replace(base, head_dim=k, beta=base.beta * t * math.sqrt(base.head_dim / k)) for k in across]
                 for t in down]  # fmt: skip
    else:
        across, down = [2**k for k in range(3, 13)], [float(2**k) for k in range(5, 13) if 2**k >= base.head_dim]
        cases = [[replace(base, context=n, d=int(d), sigma_v=base.sigma_v * math.sqrt(base.d / d)) for n in across]
                 for d in down]  # fmt: skip
    depth = np.full((len(down), len(across)), np.nan)
    for row, line in enumerate(cases):
        for column, one in enumerate(line):
            deep = replace(one, layers=deepest)
            found = forecast(deep, start, realizations=50, seed=seed, samples=32, until_collapse=True, drawn=drawn)
            depth[row, column] = np.nan if found.collapse_layer is None else found.collapse_layer
    x, y = (name.replace("-", "_") for name in kind.split(","))
    labels = dict(zip((x, y), MAPS[kind], strict=True))
    return xr.Dataset(
        {"collapse_depth": ((y, x), depth, {"long_name": "layers until the mean overlap passes 0.99", "units": "1"})},
        {name: (name, values, {"long_name": labels[name], "units": "1"}) for name, values in ((x, across), (y, down))},
        {"Conventions": "CF-1.11", "title": "collapse depth of random transformers", "deepest": deepest,
         "overlap0": start, "seed": str(seed)},
    )  # fmt: skip


def answer(
    preset: str | None, given: Mapping[str, Any], kind: str | None, out: Path | None, as_numbers: bool, seed: int
) -> list[str | Table]:
    """What `tokenlaw predict` prints; writes the figure or the map where a file is given."""
    _refuse(preset, kind, out, as_numbers)
    changes = {name: value for name, value in given.items() if value is not None}
    sizes = {name: changes[name] for name in ("d_model", "heads", "layers", "context", "head_dim") if name in changes}
    published = None if preset is None else replace(PRESETS[preset], **sizes)
    settings = ({} if published is None else published.settings()) | changes
    missing = [name for name in ("d_model", "heads", "layers", "context") if name not in settings]
    if missing:
        options = ", ".join(f"--{name.replace('_', '-')}" for name in missing)
        raise ValueError(f"predict needs {options}, or --preset with one of {', '.join(PRESETS)}")
    base, omitted = architecture(settings), omissions(published, settings)
    start, drawn = beginning(published, settings)
    if out is not None:
        from tokenlaw.pictures import paper, studies

        out.parent.mkdir(parents=True, exist_ok=True)
    if kind is not None and out is not None:
        found_map = collapse_map(kind, base, start, seed, drawn=drawn)
        if out.suffix == ".nc":
            _save_map(found_map, out)
        else:
            paper.save(studies.map_figure(found_map), out, dpi=150)
        return [f"{out}: collapse depth over {kind}", *_left_out(omitted)]

    from particles.reduced import forecast

    found = forecast(base, start, realizations=REALIZATIONS, seed=seed, drawn=drawn)
    told = advice(found, start, seed, drawn)
    if out is not None:
        title = PRESETS[preset].title if preset else f"d = {base.d}, {base.heads} heads"
        paper.save(studies.course(found, title), out, dpi=150)
    return [as_json(found, told, omitted)] if as_numbers else as_text(found, told, omitted)


def _refuse(preset: str | None, kind: str | None, out: Path | None, as_numbers: bool) -> None:
    """ValueError for options that do not go together, or that are none."""
    if preset is not None and preset not in PRESETS:
        raise ValueError(f"--preset: must be one of {', '.join(PRESETS)}, got {preset}")
    if kind is not None and kind not in MAPS:
        raise ValueError(f"--map: must be {' or '.join(MAPS)}, got {kind}")
    endings = (".png",) if kind is None else (".png", ".nc")
    if out is not None and out.suffix not in endings:
        raise ValueError(f"--out: must end with {' or '.join(endings)}, got {out}")
    if kind is not None and out is None:
        raise ValueError("--map needs --out F.png or F.nc")
    if kind is not None and as_numbers:
        raise ValueError("--json: not with --map, whose numbers go to --out F.nc")


def _save_map(found: "xr.Dataset", path: Path) -> None:
    from particles.files import save, whole, writing

    with writing(path), whole(path) as part:
        save(found, part, {str(name): {"_FillValue": None} for name in found.coords})
