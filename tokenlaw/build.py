"""From a configuration to the objects that run: the only place where strings choose."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import ParamSpec, TypeVar

import numpy as np

from particles import (
    L2,
    AnyTokens,
    Attention,
    Causal,
    Conformal,
    DirectField,
    Empirical,
    EuclideanTokens,
    FieldFactory,
    FixedHeads,
    Gaussian,
    GaussianHeads,
    HeadLaw,
    Homogenized,
    IndependentEntries,
    InitialDensity,
    InitialLaw,
    LayerLaw,
    Linear,
    Noise,
    RademacherHeads,
    RandomTransformer,
    RecordedLayers,
    Sigmoid,
    Simplex,
    Sinkhorn,
    Softmax,
    Stream,
    Tokens,
    Uniform,
    UniformHeads,
    ValuesApart,
    VonMisesFisherMixture,
)
from particles.layer_files import read_heads, read_layers, read_tokens
from particles.quadrature import gauss_grid
from particles.retraction import RETRACTIONS
from spde import Density, DensityFlow, SeriesLaw, SpectralField, Sphere, spectral_field
from spde.density_files import read_density
from spde.field import Spectral
from tokenlaw import config
from tokenlaw.config import ConfigError, Configuration

P = ParamSpec("P")
T = TypeVar("T")
ENTRIES: dict[str, type[IndependentEntries]] = {
    "gaussian": GaussianHeads,
    "rademacher": RademacherHeads,
    "uniform": UniformHeads,
}
KERNELS: dict[str, Callable[[float], Softmax | Linear | L2 | Sigmoid | Sinkhorn]] = {
    "softmax": Softmax,
    "linear": Linear,
    "l2": L2,
    "sigmoid": Sigmoid,
    "sinkhorn": Sinkhorn,
}
WITH_DENSITY = ("softmax", "linear", "l2")
SPECTRAL_FROM = 512  # tokens from which the spectral field is the faster one


@dataclass(frozen=True, eq=False)
class Experiment:
    """The objects of one configuration.

    Attributes
    ----------
    configuration : what it was made from.   law, attention : layers and kernel.   initial : initial law.
    plan : steps, records and what was rounded.
    """

    configuration: Configuration
    law: LayerLaw
    attention: Attention
    initial: InitialLaw
    plan: config.StepPlan

    @property
    def noise(self) -> Noise:
        """The realization's source of randomness."""
        return Noise(self.configuration.noise.seed, self.configuration.noise.member)

    def density(self) -> Density:
        """Initial density on S^2."""
        c = self.configuration
        _refuse_density(c)
        sphere = Sphere(c.solve.lmax)
        try:
            if isinstance(self.initial, Empirical) and isinstance(self.initial.tokens, Tokens):
                return Density.from_tokens(self.initial.tokens, sphere)
            if isinstance(self.initial, Simplex):
                raise ConfigError('initial.kind = "simplex": has no density; tokenlaw simulate takes it')
            if isinstance(self.initial, SeriesLaw):
                return Density.from_coefficients(self.initial.coefficients, sphere, c.solve.carried_nodes)
            assert_density: InitialDensity = self.initial  # type: ignore[assignment]
            return Density.from_law(assert_density, sphere, c.solve.carried_nodes)
        except ValueError as error:
            if isinstance(error, ConfigError):
                raise
            where = "solve." if str(error).startswith("carried_nodes") else "initial: "
            raise ConfigError(f"{where}{error}") from None

    def flow(self, density: Density) -> DensityFlow:
        """How the density is advanced."""
        c = self.configuration.solve
        return DensityFlow(
            density.sphere, self.law, self.attention, spectral_field(c.field_tol), c.remap_every, c.on_unresolved
        )

    def tokens(self) -> tuple[AnyTokens, tuple[str, ...]]:
        """Initial tokens, and sentences about their number where it is not the one asked for."""
        c = self.configuration.simulate
        if isinstance(self.initial, Empirical):
            return self.initial.tokens, ()
        if c.sampling == "quadrature":
            return _quadrature_tokens(self.initial, c.tokens)
        make = Tokens if self.configuration.model.space == "sphere" else EuclideanTokens
        return make(self.sample(0, c.tokens)), ()

    def sample(self, which: int, n: int) -> "np.ndarray[tuple[int, int], np.dtype[np.float64]]":
        """Independent samples (n, d) of the initial law: 0 the tokens', 1 and 2 for comparison."""
        rng = self.noise.generator(Stream.TOKENS, which, self.configuration.simulate.replica)
        return self.initial.sample(rng, n)

    def token_field(self, n: int) -> FieldFactory:
        """Factory of the field that moves n tokens."""
        c = self.configuration
        kind = c.simulate.field
        if kind == "auto":
            on_sphere = c.model.d == 3 and c.model.space == "sphere"
            suits = on_sphere and isinstance(self.attention, Spectral) and n >= SPECTRAL_FROM
            kind = "spectral" if suits else "direct"
        if kind == "spectral":
            if not isinstance(self.attention, Spectral):
                got = f"causal {c.model.attention}" if c.model.causal else c.model.attention
                raise ConfigError(f'simulate.field = "spectral": needs softmax or l2 attention, got {got}; use "auto"')
            return partial(SpectralField, tol=c.solve.field_tol)
        return DirectField


def build(c: Configuration) -> Experiment:
    """Make the objects of a configuration; ConfigError (one line) where they do not fit together."""
    law = _law(c)
    if law.d != c.model.d:
        raise ConfigError(f"model.d = {c.model.d}: the layers have d = {law.d}")
    if isinstance(law, RecordedLayers):
        if law.beta != c.model.beta:
            raise ConfigError(f"model.beta = {c.model.beta:g}: must equal the layers file's beta = {law.beta:g}")
        plan = config.steps(c, len(law))
    else:
        plan = config.steps(c)
    return Experiment(c, law, _attention(c), _initial(c), plan)


def _attention(c: Configuration) -> Attention:
    kernel = KERNELS[c.model.attention](c.model.beta)
    if not c.model.causal:
        return kernel
    assert not isinstance(kernel, Sinkhorn)  # refused with the configuration
    return Causal(kernel)


def _refuse_density(c: Configuration) -> None:
    """Densities live on S^2, and need weights that any point of it may have."""
    model, instead = c.model, "tokenlaw simulate takes it"
    if model.space != "sphere":
        raise ConfigError(f'model.space = "{model.space}": densities live on the sphere; {instead}')
    if model.d != 3:
        raise ConfigError(f"model.d = {model.d}: must be 3 for densities; tokenlaw simulate takes any d")
    if model.causal:
        raise ConfigError(f"model.causal = true: must be false for densities, whose points have no order; {instead}")
    if model.attention not in WITH_DENSITY:
        known = " or ".join(WITH_DENSITY)
        raise ConfigError(f'model.attention = "{model.attention}": must be {known} for densities; {instead}')


def _law(c: Configuration) -> LayerLaw:
    noise = Noise(c.noise.seed, c.noise.member)
    layers = c.layers
    retraction = RETRACTIONS[layers.retraction] if hasattr(layers, "retraction") else RETRACTIONS["normalize"]
    if layers.kind == "recorded":
        return _told("layers.file", read_layers, Path(layers.file), retraction)
    heads = _heads(c)
    if layers.kind == "transformer":
        return RandomTransformer(heads, layers.eta, layers.heads, noise, retraction)
    if layers.kind == "homogenized":
        if not isinstance(heads, ValuesApart):
            raise ConfigError('heads.kind = "fixed": layers.kind must be "transformer"')
        return Homogenized(
            heads, layers.dt, layers.nodes, noise, layers.noise_scale, layers.nodes_fixed, retraction
        )
    raise ConfigError(f'layers.kind = "{layers.kind}": not available in this version')


def _heads(c: Configuration) -> HeadLaw:
    heads, d = c.heads, c.model.d
    if heads is None:
        raise ConfigError("heads: missing section")
    if heads.kind == "fixed":
        if heads.file is not None:
            fixed = _told("heads.file", read_heads, Path(heads.file))
        else:
            fixed = FixedHeads(np.array(heads.value), np.array(heads.query), np.array(heads.key))
        if c.layers.kind == "transformer" and len(fixed.value) != c.layers.heads:
            raise ConfigError(f"layers.heads = {c.layers.heads}: {len(fixed.value)} fixed heads are given")
        return fixed
    zero = np.zeros((d, d))
    mean_v = zero if heads.mean_v is None else np.array(heads.mean_v)
    mean_a = zero if heads.mean_a is None else np.array(heads.mean_a)
    return ENTRIES[heads.kind](d, heads.sigma_v, heads.sigma_a, heads.head_dim, mean_v, mean_a)


def _initial(c: Configuration) -> InitialLaw:
    initial, d = c.initial, c.model.d
    if initial.kind == "uniform":
        return Uniform(d)
    if initial.kind == "von_mises_fisher":
        parts = initial.components
        return VonMisesFisherMixture(
            np.array([p.weight for p in parts]), np.array([p.mean for p in parts]), np.array([p.kappa for p in parts])
        )
    if initial.kind == "conformal":
        return Conformal(np.array(initial.a))
    if initial.kind == "simplex":
        return Simplex(d, initial.overlap)
    if initial.kind == "density":
        return SeriesLaw(_told("initial.file", read_density, Path(initial.file)))
    if initial.kind == "gaussian":
        try:
            return Gaussian(np.array(initial.mean), np.array(initial.covariance))
        except ValueError as error:
            raise ConfigError(f"initial.{error}") from None
    if initial.kind == "tokens":
        make = Tokens if c.model.space == "sphere" else EuclideanTokens
        tokens = _told("initial.file", read_tokens, Path(initial.file), make)
        if tokens.d != d:
            raise ConfigError(f"initial.file = {initial.file}: tokens have d = {tokens.d}, model.d is {d}")
        return Empirical(tokens)
    raise ConfigError(f'initial.kind = "{initial.kind}": not available in this version')


def _told(key: str, read: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Call a reader; what it refuses is told with the key that named the file."""
    try:
        return read(*args, **kwargs)
    except ValueError as error:
        raise ConfigError(f"{key} = {error}") from None


def _quadrature_tokens(initial: InitialLaw, n: int) -> tuple[Tokens, tuple[str, ...]]:
    """Gauss nodes k x 2k weighted by the density, k the integer that brings 2 k^2 closest to n."""
    if not hasattr(initial, "pdf"):
        raise ConfigError('simulate.sampling = "quadrature": needs an initial law with a density')
    k = max(2, round((n / 2) ** 0.5))
    points, area = gauss_grid(k, 2 * k)
    weights = area * initial.pdf(points)
    told = f"simulate.tokens = {n}: rounded to {2 * k * k} quadrature nodes ({k} x {2 * k})"
    notes = () if 2 * k * k == n else (told,)
    kept = weights > 0
    return Tokens(points[kept], weights[kept]), notes
