"""From [layers] of kind = "equation" to its law: terms by their kind, what they refuse told with their place."""

from collections.abc import Callable
from typing import Any, Final, NamedTuple

import numpy as np

from particles import ArgumentError, Cloud, Noise, Push, Uniform
from particles.equations import (
    INTERPRETATIONS,
    STEPPINGS,
    CommonNoise,
    Dot,
    Drift,
    Equation,
    Exponential,
    Function,
    Gradient,
    Interaction,
    Isotropic,
    Kicks,
    Legendre,
    MaierSaupe,
    OfOverlap,
    Pull,
    Rotation,
    Rotations,
    VectorFields,
    Zonal,
)
from tokenlaw.config.equations import EquationLayers, ZonalTerm
from tokenlaw.config.read import ConfigError, Configuration
from tokenlaw.config.told import chosen, telling
from tokenlaw.config.toml import keyed
from tokenlaw.runs.functions import Functions


class Named(NamedTuple):
    """How an interaction is made, the keys that it needs, and those that it takes."""

    make: Callable[..., Interaction]
    needed: tuple[str, ...]
    optional: tuple[str, ...] = ()


INTERACTIONS: Final[dict[str, Named]] = {
    "dot": Named(Dot, ("strength",)),
    "maier_saupe": Named(MaierSaupe, ("strength",)),
    "exponential": Named(Exponential, ("beta",), ("strength",)),
    "legendre": Named(Legendre, ("coefficients",)),
    "python": Named(OfOverlap, ("function",)),
}
"""Interactions by name."""
KEYS: Final = ("strength", "beta", "coefficients", "function")


def equation(c: Configuration, layers: EquationLayers, functions: Functions) -> Equation:
    """The law of an equation of one's own; ConfigError (one line) with the key of what does not fit."""
    sense = None if layers.interpretation is None else chosen(INTERPRETATIONS, c, "layers.interpretation")
    drift = [_drift(c, f"layers.drift[{k}]", term, functions) for k, term in enumerate(layers.drift)]
    common = [_noise(c, f"layers.common_noise[{k}]", term, functions) for k, term in enumerate(layers.common_noise)]
    stepping = STEPPINGS["halves"] if layers.stepping is None else chosen(STEPPINGS, c, "layers.stepping")
    try:
        return Equation(
            c.model.d, tuple(drift), layers.dt, Noise(c.noise.seed, c.noise.member), tuple(common),
            layers.private_noise, sense, stepping, replica=c.simulate.replica, tolerance=layers.tolerance,
        )  # fmt: skip
    except ArgumentError as error:
        if error.name == "scheme":
            raise ConfigError(keyed(c, "layers.stepping", f"must {error.allowed}")) from None
        with telling(c, "layers"):
            raise


def _drift(c: Configuration, path: str, term: Any, functions: Functions) -> Drift:
    d = c.model.d
    made: Drift
    with telling(c, path):
        if term.kind == "zonal":
            made = Zonal(_interaction(c, path, term, functions))
        elif term.kind == "gradient":
            if (term.axis is None) == (term.coefficients is None):
                raise ConfigError(f"{path}: must have either axis or coefficients")
            if term.axis is None:
                made = Gradient(np.array([complex(*pair) for pair in term.coefficients]), d)
            else:
                made = Pull(term.axis)
        elif term.kind == "rotation":
            made = _rotation(c, f"{path}.axis", term.axis)
        else:
            made = Function(functions.function(f"{path}.function", term.function))
        push = made.push(d, 1.0)
        if term.kind == "python":
            _try(push, d)
    return made


def _interaction(c: Configuration, path: str, term: ZonalTerm, functions: Functions) -> Interaction:
    """The interaction that a table names, with the keys that are its own."""
    named = chosen(INTERACTIONS, c, f"{path}.kernel")
    given: dict[str, Any] = {key: value for key in KEYS if (value := getattr(term, key)) is not None}
    for key in KEYS:
        if key in named.needed and key not in given:
            raise ConfigError(f'{path}.{key}: missing with kernel = "{term.kernel}"')
        if key in given and key not in named.needed + named.optional:
            raise ConfigError(keyed(c, f"{path}.{key}", f'not used with kernel = "{term.kernel}"'))
    if "function" in given:
        given["function"] = functions.function(f"{path}.function", given["function"])
    return named.make(**given, **({"d": c.model.d} if named.make is Legendre else {}))


def _rotation(c: Configuration, path: str, axis: tuple[float, ...]) -> Rotation:
    """A rotation with an angular velocity: a vector of R^3, or a number on the circle."""
    d = c.model.d
    if d == 2 and len(axis) == 1:
        return Rotation(np.array([[0.0, -axis[0]], [axis[0], 0.0]]))
    if d != 3 or len(axis) != 3:
        text = {2: "be a list of one number on the circle", 3: "be a list of three numbers"}
        raise ConfigError(keyed(c, path, f"must {text.get(d, f'be left out: needs model.d = 2 or 3, not {d}')}"))
    return Rotation.about(np.array(axis))


def _noise(c: Configuration, path: str, term: Any, functions: Functions) -> CommonNoise:
    d = c.model.d
    made: CommonNoise
    with telling(c, path):
        if term.kind == "kicks":
            made = Kicks(term.strength)
        elif term.kind == "rotations":
            made = Rotations(term.strength)
        elif term.kind == "isotropic":
            made = Isotropic(term.gradient, term.curl)
        else:
            made = VectorFields((functions.function(f"{path}.function", term.function),))
        push = made.push(made.draw(np.random.default_rng(0), d), d)
        if term.kind == "python":
            _try(push, d)
    return made


def _try(push: Push, d: int) -> None:
    """ValueError where a function of points and measure does not give finite vectors of their shape."""
    points = Uniform(d).sample(np.random.default_rng(0), 3)
    if not np.isfinite(push.velocity(Cloud(points, np.full(3, 1 / 3)))(points[:2])).all():
        raise ValueError("the function must give finite numbers")
