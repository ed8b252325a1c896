"""Maps over two options: collapse depth and overlap by the mean; exponents and gradients too by the chain."""

import math
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import count
from typing import Any

import numpy as np
import xarray as xr

from particles import Array
from tokenlaw.answers.forecast import chain, mean
from tokenlaw.answers.forecast.found import INDISTINGUISHABLE
from tokenlaw.answers.forecast.options import LIMITS, WHOLE, spelled
from tokenlaw.answers.forecast.plan import LEAST, Plan, plan
from tokenlaw.answers.forecast.request import Request, request_of
from tokenlaw.answers.forecast.words import duration

DEEPEST = 4096  # layers of the mean, at most
LONG = 5.0  # seconds that a reader is told of
NUMERIC = ("mlp_width", *(name for name in LIMITS if name != "networks"))
LABELS = {
    "head_dim": "head dimension", "context": "context length n", "d_model": "dimension d of the tokens",
    "beta": "beta over its given value",
}  # fmt: skip
FACTORS = tuple(2.0**k for k in range(-2, 6))
SHARES = (0.0, 0.1, 0.25, 0.5, 0.75, 0.9)
QUANTITIES = {
    "collapse_depth": "layers until the mean overlap passes 0.99",
    "overlap": "mean overlap at the last layer",
    "exponent": "rate of log(1 - overlap) per layer at 0.99",
    "gradient": "mean square of the gradient at the start over that at the last layer",
}

Options = Mapping[str, Any]


@dataclass(frozen=True)
class Axis:
    """An option and its values; `of` makes of the options and a value those of a point."""

    name: str
    values: tuple[float, ...]
    label: str
    of: Callable[[Options, float], Options]


def axes_of(text: str, preset: str | None, given: Options) -> tuple[Axis, Axis]:
    """Two options to be varied: "head-dim,beta", or with values "head-dim=8,16,32;beta=1,2,4"."""
    parts = text.split(";") if "=" in text or ";" in text else text.split(",")
    base = request_of(preset, given)
    pairs = [
        (name.strip().replace("-", "_"), values if equals else None)
        for name, equals, values in (one.partition("=") for one in parts)
    ]
    names = [name for name, _ in pairs]
    if len(pairs) != 2 or not set(names) <= set(NUMERIC) or len(set(names)) < 2:
        known = ", ".join(spelled(name)[2:] for name in NUMERIC)
        raise ValueError(f"--map: must be two of {known}, perhaps with values (head-dim=8,16;beta=1,2), got {text}")
    first, second = (axis(name, values, base, given) for name, values in pairs)
    return first, second


def axis(name: str, text: str | None, base: Request, given: Options) -> Axis:
    """One option, with the values of a text or its usual ones."""
    label = LABELS.get(name, spelled(name)[2:])
    if text is not None:
        found = tuple(_read(name, one) for one in text.split(","))
        if len(set(found)) < len(found):
            raise ValueError(f"--map: values of {spelled(name)[2:]} must differ, got {text[:60]}")
        return Axis(name, found, label.partition(" over ")[0], _set(name))
    values = _usual(name, base, given)
    if name == "beta":
        return Axis(name, values, label, lambda options, x: {**options, "score_scale": x * _scale(options)})
    return Axis(name, values, label, _set(name))


def _set(name: str) -> Callable[[Options, float], Options]:
    return lambda options, x: {**options, name: x}


def _scale(options: Options) -> float:
    scale = options.get("score_scale")
    return 1.0 if scale is None else float(scale)


def _read(name: str, text: str) -> float:
    try:
        return int(text) if name in WHOLE else float(text)
    except ValueError:
        kind = "whole numbers" if name in WHOLE else "numbers"
        shown = text.strip()[:40] or "none"
        raise ValueError(f"--map: values of {spelled(name)[2:]} must be {kind}, got {shown}") from None


def _usual(name: str, base: Request, given: Options) -> tuple[float, ...]:
    """Values of an option where none are given: powers of 2, around what is asked for."""
    net = base.network
    own = {"head_dim": [2**k for k in range(1, 11) if 2**k <= net.d], "context": [2**k for k in range(3, 13)],
           "d_model": [2**k for k in range(5, 13) if 2**k >= net.attention.head_dim],
           "heads": [k for k in (1, 2, 4, 8, 16, 32, 64) if net.d % k == 0],
           "kv_heads": [k for k in range(1, net.attention.heads + 1) if net.attention.heads % k == 0],
           "layers": [2**k for k in range(1, 8)],
           "mlp_width": [max(1, int(net.d * 2.0**k)) for k in range(-2, 4)]}  # fmt: skip
    if name in own:
        return tuple(own[name])
    if LIMITS[name][1] <= 1:
        return SHARES
    usual = {"sigma_v": net.d**-0.5, "init_std": 0.02, "norm_eps": 1e-5}
    middle = usual.get(name, 1.0) if given.get(name) is None else given[name]
    return FACTORS if name == "beta" else tuple(float(middle) * x / 2 for x in FACTORS[:-1])


def points(preset: str | None, given: Options, x: Axis, y: Axis) -> Iterator[Request]:
    """Requests row by row, y by y; heads keep their size where the dimension of the tokens changes."""
    fixed = dict(given)
    if "d_model" in (x.name, y.name) and "head_dim" not in (x.name, y.name):
        fixed["head_dim"] = request_of(preset, given).network.attention.head_dim
    for down in y.values:
        for across in x.values:
            yield request_of(preset, x.of(y.of(fixed, down), across))


def drawn_map(text: str, preset: str | None, given: Options, seed: int, screen: Any) -> xr.Dataset:
    """The map as a dataset over (y, x), NaN where there is no value; `screen` as `tokenlaw.answers.predict.Screen`."""
    x, y = axes_of(text, preset, given)
    asked = list(points(preset, given, x, y))
    method, networks, gradients = (given.get(name) for name in ("method", "networks", "gradients"))
    plans = [plan(one, "chain", networks or LEAST, bool(gradients)) for one in asked] if method != "mean" else []
    by_chain = method == "chain" or bool(gradients) or not all(mean.possible(one) for one in asked)
    if by_chain:
        found, deepest = _by_chain(asked, plans, seed, screen), "the layers of the network"
    else:
        found, deepest = _by_mean(asked, seed, screen), f"{DEEPEST}"
    shape = len(y.values), len(x.values)
    variables = {
        name: ((y.name, x.name), np.array([one[name] for one in found]).reshape(shape),
               {"long_name": QUANTITIES[name], "units": "1"})
        for name in found[0]
    }  # fmt: skip
    coordinates = {one.name: (one.name, list(one.values), {"long_name": one.label, "units": "1"}) for one in (x, y)}
    beside = sorted({what for one in asked for what in mean.missing(one)}) if not by_chain else []
    attributes = {"Conventions": "CF-1.11", "title": "forecasts of random transformers over two options",
                  "method": "chain" if by_chain else "mean", "deepest": deepest, "seed": str(seed),
                  "not_included": ", ".join(beside)}  # fmt: skip
    return xr.Dataset(variables, coordinates, attributes)


def _by_mean(asked: list[Request], seed: int, screen: Any) -> list[dict[str, float]]:
    found: list[dict[str, float]] = []
    begun = time.perf_counter()
    with screen.progress(len(asked)) as tell:
        for number, one in enumerate(asked, start=1):
            course, layers = mean.until_collapse(one, seed, DEEPEST), one.network.layers
            depth = math.nan if course.collapse_layer is None else course.collapse_layer
            overlap = course.mean[min(layers, len(course.mean) - 1)]
            found.append({"collapse_depth": depth, "overlap": float(overlap)})
            tell(number)
            left = (time.perf_counter() - begun) * (len(asked) - number)
            if number == 1 and left > LONG:
                screen.note(f"the map of {len(asked)} points takes about {duration(left)}, if all are like the first")
    return found


def _by_chain(asked: list[Request], plans: list[Plan], seed: int, screen: Any) -> list[dict[str, float]]:
    found, behind = [], count(1)
    with screen.progress(sum(map(chain.passes, plans))) as tell:
        for one, way in zip(asked, plans, strict=True):
            found.append(_at(one, way, seed, lambda _: tell(next(behind))))
    return found


def _at(request: Request, way: Plan, seed: int, tell: Callable[[int], None]) -> dict[str, float]:
    """One point, by the chain."""
    data = chain.drawn(way.network, request.start.law, way.networks, seed, gradients=way.gradients, dtype=way.dtype,
                       tell=tell)  # fmt: skip
    overlap: Array = data["overlap"].values.mean(axis=0)
    above = np.flatnonzero(overlap > INDISTINGUISHABLE)
    radius = float(data["radius"][:, -1].mean())
    exponent = chain.after(way, request.start.tokens, INDISTINGUISHABLE, radius, seed, chain.FEWEST).mean()
    found = {"collapse_depth": float(above[0]) if above.size else math.nan, "overlap": float(overlap[-1]),
             "exponent": float(exponent)}  # fmt: skip
    return found | ({"gradient": float(data["gradient"][:, 0].mean())} if way.gradients else {})
