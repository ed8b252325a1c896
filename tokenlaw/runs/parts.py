"""Heads and initial laws of a configuration."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

from particles import (
    ENTRIES,
    AnyTokens,
    Conformal,
    Empirical,
    EuclideanTokens,
    FixedHeads,
    Gaussian,
    IndependentEntries,
    InitialLaw,
    Simplex,
    SmoothHeads,
    Tokens,
    Uniform,
    VonMisesFisherMixture,
)
from particles.files import read_heads, read_tokens
from spde import SeriesLaw
from spde.domain import SPHERES
from spde.files import read_density
from tokenlaw.config import layers as config_layers
from tokenlaw.config.read import ConfigError, Configuration
from tokenlaw.config.told import telling
from tokenlaw.config.toml import show

P = ParamSpec("P")
T = TypeVar("T")
DEFAULTS = ("sigma_v", "sigma_a", "head_dim")
"""Keys of random heads that have their defaults from the heads themselves."""


def told(key: str, read: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Call a reader; what it refuses is told with the key that named the file."""
    try:
        return read(*args, **kwargs)
    except ValueError as error:
        raise ConfigError(f"{key} = {error}") from None


def heads_of(c: Configuration) -> IndependentEntries | FixedHeads | None:
    """Law of one head; None where recorded layers bring their own."""
    heads = c.heads
    if heads is None:
        return None
    if heads.kind == "fixed" and heads.file is not None:
        return told("heads.file", read_heads, Path(heads.file))
    with telling(c, "heads"):
        if heads.kind == "fixed":
            matrices: Any = (heads.value, heads.query, heads.key)
            return FixedHeads(*matrices)
        given: dict[str, Any] = {name: getattr(heads, name) for name in (*DEFAULTS, "mean_v", "mean_a")}
        given = {name: value for name, value in given.items() if value is not None}
        if isinstance(heads, config_layers.SmoothHeads):
            return SmoothHeads(c.model.d, **given, modes=heads.modes)
        return ENTRIES[heads.kind](c.model.d, **given)


def completed(c: Configuration, heads: IndependentEntries | FixedHeads | None) -> Configuration:
    """The configuration with the numbers that heads have by default."""
    if c.heads is None or not isinstance(heads, IndependentEntries):
        return c
    numbers = {name: getattr(heads, name) for name in DEFAULTS}
    return c.model_copy(update={"heads": c.heads.model_copy(update=numbers)})


def initial_of(c: Configuration) -> InitialLaw:
    """Law of the tokens at depth 0."""
    for path, vector in _vectors(c):
        if len(vector) != c.model.d:
            text = f"must have model.d = {c.model.d} entries, not {len(vector)}"
            raise ConfigError(f"initial.{path} = {show(list(vector))}: {text}")
    with telling(c, "initial"):
        law: InitialLaw = _initial(c)
        if isinstance(law, Simplex):
            law.check(c.simulate.tokens)
    d: int = law.sphere.d if isinstance(law, SeriesLaw) else law.d  # type: ignore[attr-defined]
    if d != c.model.d:
        raise ConfigError(f"initial.file = {c.initial.file}: has d = {d}, must have model.d = {c.model.d}")  # type: ignore[union-attr]
    return law


def _vectors(c: Configuration) -> Iterator[tuple[str, Sequence[float]]]:
    """The vectors of R^d in [initial], by the rest of their path."""
    initial = c.initial
    if initial.kind == "von_mises_fisher":
        yield from ((f"components[{k}].mean", part.mean) for k, part in enumerate(initial.components))
    for key in {"conformal": ["a"], "gaussian": ["mean"]}.get(initial.kind, []):
        yield key, getattr(initial, key)


def _initial(c: Configuration) -> Any:
    initial, d = c.initial, c.model.d
    if initial.kind == "von_mises_fisher":
        parts: Any = zip(*((part.weight, part.mean, part.kappa) for part in initial.components), strict=True)
        return VonMisesFisherMixture(*parts)
    if initial.kind == "conformal":
        return Conformal(initial.a)  # type: ignore[arg-type]
    if initial.kind == "simplex":
        return Simplex(d, initial.overlap)
    if initial.kind == "density":
        return told("initial.file", read_density, Path(initial.file))
    if initial.kind == "gaussian":
        return Gaussian(initial.mean, initial.covariance)  # type: ignore[arg-type]
    if initial.kind == "tokens":
        make = Tokens if c.model.space == "sphere" else EuclideanTokens
        return Empirical(told("initial.file", read_tokens, Path(initial.file), make))
    return Uniform(d)


def quadrature_tokens(initial: InitialLaw, d: int, n: int) -> tuple[AnyTokens, tuple[str, ...]]:
    """Quadrature nodes weighted by the density: on S^2 k x 2k, k the integer that brings 2 k^2 closest to n."""
    if not hasattr(initial, "pdf"):
        raise ConfigError('simulate.sampling = "quadrature": needs an initial law with a density')
    size = SPHERES[d].size_near(n)
    points, area = SPHERES[d].quadrature(size)
    weights = area * initial.pdf(points)
    text = f"simulate.tokens = {n}: rounded to {len(area)} quadrature nodes ({size[0]} x {size[1]})"
    kept = weights > 0
    return Tokens(points[kept], weights[kept]), () if len(area) == n else (text,)
