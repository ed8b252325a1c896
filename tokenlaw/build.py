"""From a configuration to the objects that run: the only place where strings choose."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import ParamSpec, TypeVar

import numpy as np

from particles import (
    L2,
    AnyTokens,
    Ballistic,
    Causal,
    Conformal,
    DirectField,
    Empirical,
    EuclideanTokens,
    Euler,
    FieldFactory,
    FixedHeads,
    Gaussian,
    GaussianHeads,
    Homogenized,
    IndependentEntries,
    InitialDensity,
    InitialLaw,
    Kernel,
    LayerLaw,
    Linear,
    LowRankHeads,
    MLPBlock,
    Modified,
    Noise,
    PreNorm,
    RademacherHeads,
    RandomTransformer,
    RecordedLayers,
    RungeKutta4,
    Scheme,
    Sigmoid,
    Simplex,
    Sinkhorn,
    SmoothHeads,
    SmoothTransformer,
    Softmax,
    Stream,
    Tokens,
    Uniform,
    UniformHeads,
    VonMisesFisherMixture,
    WithMLP,
    WithPrivateNoise,
    direct_field,
    read_checkpoint,
    torch_field,
)
from particles.attention_kernels import Spectral
from particles.checkpoint_files import is_model
from particles.input_files import noted
from particles.kernels import ACTIVATIONS
from particles.layer_files import read_heads, read_layers, read_tokens
from particles.layers import refine_within
from particles.mlp import too_many
from particles.retraction import RETRACTIONS, Retraction
from spde import Density, DensityFlow, SeriesLaw, spectral_field, unit_sphere
from spde.carried import auto_size
from spde.choice import auto_field
from spde.density_files import read_density
from spde.domain import SPHERES
from spde.field_choice import SPECTRAL
from spde.solver import diffuses
from tokenlaw import config, config_models
from tokenlaw.config import ConfigError, Configuration
from tokenlaw.memory import layer_terms, refuse_too_large

P = ParamSpec("P")
T = TypeVar("T")
ENTRIES: dict[str, type[IndependentEntries]] = {
    "gaussian": GaussianHeads,
    "rademacher": RademacherHeads,
    "uniform": UniformHeads,
    "low_rank": LowRankHeads,
}
PRECISIONS = {"double": np.float64, "single": np.float32}
SCHEMES: dict[str, Scheme] = {"euler": Euler(), "rk4": RungeKutta4()}
KERNELS: dict[str, Callable[[float], Softmax | Linear | L2 | Sigmoid | Sinkhorn]] = {
    "softmax": Softmax,
    "linear": Linear,
    "l2": L2,
    "sigmoid": Sigmoid,
    "sinkhorn": Sinkhorn,
}
WITH_DENSITY = ("softmax", "linear", "l2")


@dataclass(frozen=True, eq=False)
class Experiment:
    """The objects of one configuration.

    Attributes
    ----------
    configuration : what it was made from.   law : of the layers.   initial : initial law.
    plan : steps, records and what was rounded.
    inputs : section -> SHA-256 of every file read for it, by path, in the order of reading.
    """

    configuration: Configuration
    law: LayerLaw
    initial: InitialLaw
    plan: config.StepPlan
    inputs: Mapping[str, Mapping[Path, str]] = field(default_factory=dict)

    @property
    def noise(self) -> Noise:
        """The realization's source of randomness."""
        return Noise(self.configuration.noise.seed, self.configuration.noise.member)

    def density(self) -> Density:
        """Initial density on S^(d-1), d = 2 or 3."""
        c = self.configuration
        _refuse_density(c)
        if isinstance(self.law, WithPrivateNoise):
            if c.solve.remap_every != 1:
                raise ConfigError(f"solve.remap_every = {c.solve.remap_every}: must be 1 with layers.private_noise")
            if c.solve.characteristics:
                raise ConfigError("solve.characteristics = true: must be false with layers.private_noise: no flow")
            if isinstance(self.initial, Empirical):
                raise ConfigError('initial.kind = "tokens": must have a density with layers.private_noise')
        if c.solve.characteristics:
            self._refuse_characteristics()
        if c.solve.on_unresolved == "stop" and not c.solve.remap_every:
            raise ConfigError('solve.on_unresolved = "stop": needs solve.remap_every >= 1; with 0 nothing is resolved')
        sphere = unit_sphere(c.model.d, c.solve.lmax)
        carried = c.solve.given_nodes
        try:
            if isinstance(self.initial, Empirical):
                if c.solve.characteristics:
                    raise ConfigError("solve.characteristics = true: needs an initial density; tokens have none")
                assert isinstance(self.initial.tokens, Tokens)  # on the sphere, where densities are
                return Density.from_tokens(self.initial.tokens, sphere)
            if isinstance(self.initial, Simplex):
                raise ConfigError('initial.kind = "simplex": has no density; tokenlaw simulate takes it')
            if isinstance(self.initial, SeriesLaw):
                return Density.from_coefficients(self.initial.coefficients, sphere, carried)
            assert_density: InitialDensity = self.initial  # type: ignore[assignment]
            return Density.from_law(assert_density, sphere, carried)
        except ValueError as error:
            if isinstance(error, ConfigError):
                raise
            where = "solve." if str(error).startswith("carried_nodes") else "initial: "
            raise ConfigError(f"{where}{error}") from None

    def _refuse_characteristics(self) -> None:
        """Characteristics follow steps of one velocity: not those of several stages, nor the corrected ones."""
        layers = self.configuration.layers
        if layers.kind == "modified":
            raise ConfigError('solve.characteristics = true: must be false with layers.kind = "modified"')
        if layers.kind == "ballistic" and layers.scheme != "euler":
            raise ConfigError('solve.characteristics = true: needs layers.scheme = "euler" with ballistic layers')

    def flow(self, density: Density, refine: bool = False) -> DensityFlow:
        """How the density is advanced; `refine`: whether nodes that are too few end the run, see `DensityFlow`."""
        c = self.configuration.solve
        carried = c.given_nodes or auto_size(density.sphere, density.level or 0)
        return DensityFlow(
            density.sphere, self.law, spectral_field(c.field_tol), c.remap_every, c.on_unresolved,
            c.characteristics, carried, c.moment_tol,
            refine and density.may_refine(diffuses(self.law)),
        )  # fmt: skip

    def tokens(self) -> tuple[AnyTokens, tuple[str, ...]]:
        """Initial tokens, and sentences about their number where it is not the one asked for."""
        tokens, notes = self._tokens()
        law = self.law
        while isinstance(law, PreNorm | WithPrivateNoise):
            law = law.law
        most = law.most_points if isinstance(law, WithMLP) else None
        if most is not None and len(tokens) > most:
            raise ConfigError(f"layers.mlp.{too_many(len(tokens), self.law.d)}")
        return tokens, notes

    def _tokens(self) -> tuple[AnyTokens, tuple[str, ...]]:
        c = self.configuration.simulate
        if isinstance(self.initial, Empirical):
            return self.initial.tokens, ()
        if c.sampling == "quadrature":
            return _quadrature_tokens(self.initial, self.configuration.model.d, c.tokens)
        make = Tokens if self.configuration.model.space == "sphere" else EuclideanTokens
        return make(self.sample(0, c.tokens)), ()

    def sample(self, which: int, n: int) -> "np.ndarray[tuple[int, int], np.dtype[np.float64]]":
        """Independent samples (n, d) of the initial law: 0 the tokens', 1 and 2 for comparison."""
        rng = self.noise.generator(Stream.TOKENS, which, self.configuration.simulate.replica)
        return self.initial.sample(rng, n)

    def token_field(self) -> FieldFactory:
        """Factory of the field that moves the tokens."""
        c = self.configuration
        kind, precision = c.simulate.field, PRECISIONS[c.simulate.precision]
        if kind == "auto":
            on_sphere = c.model.d in SPECTRAL and c.model.space == "sphere" and precision == np.float64
            if on_sphere and isinstance(_kernel(c), Spectral):
                return auto_field(c.solve.field_tol)
            kind = "direct"
        if kind == "spectral":
            if not isinstance(_kernel(c), Spectral):
                got = f"causal {c.model.attention}" if c.model.causal else c.model.attention
                raise ConfigError(f'simulate.field = "spectral": needs softmax or l2 attention, got {got}; use "auto"')
            return spectral_field(c.solve.field_tol)
        if kind == "torch":
            try:
                return torch_field(precision=precision)
            except ImportError as error:
                raise ConfigError(f'simulate.field = "torch": {error}') from None
        return DirectField if precision == np.float64 else direct_field(precision)


def build(c: Configuration) -> Experiment:
    """Make the objects of a configuration; ConfigError (one line) where they do not fit together."""
    refuse_too_large([*layer_terms(c)])
    with noted() as of_layers:
        recorded = _law(c)
    law = _with_mlp(c, recorded)
    nu = getattr(c.layers, "private_noise", 0.0)
    if nu:
        noise, retraction = Noise(c.noise.seed, c.noise.member), RETRACTIONS[c.layers.retraction]
        law = WithPrivateNoise(law, nu, noise, c.simulate.replica, retraction)
    norm = getattr(c.layers, "norm", "post")
    if norm != "post":
        law = PreNorm(law, 1.0 if norm == "pre" else law.d**0.5)
    law = _refined(law, getattr(c.layers, "refine", 1))
    if law.d != c.model.d:
        raise ConfigError(f"model.d = {c.model.d}: the layers have d = {law.d}")
    if isinstance(recorded, RecordedLayers):
        plan = config.steps(c, len(recorded))
    else:
        plan = config.steps(c)
    with noted() as of_initial:
        initial = _initial(c)
    inputs = {"layers" if c.layers.kind == "recorded" else "heads": of_layers, "initial": of_initial}
    return Experiment(c, law, initial, plan, inputs)


def _kernel(c: Configuration) -> Kernel:
    kernel = KERNELS[c.model.attention](c.model.beta)
    if not c.model.causal:
        return kernel
    assert not isinstance(kernel, Sinkhorn)  # refused with the configuration
    return Causal(kernel)


def _refuse_density(c: Configuration) -> None:
    """Densities live on S^1 and S^2, and need weights that any point may have."""
    model, instead = c.model, "tokenlaw simulate takes it"
    if model.space != "sphere":
        raise ConfigError(f'model.space = "{model.space}": densities live on the sphere; {instead}')
    norm = getattr(c.layers, "norm", "post")
    if norm != "post":
        raise ConfigError(
            f'layers.norm = "{norm}": must be "post" for densities: directions alone do not say '
            f"how they move on; {instead}"
        )
    if model.d not in SPHERES:
        raise ConfigError(f"model.d = {model.d}: must be 2 or 3 for densities; tokenlaw simulate takes any d")
    if model.causal:
        raise ConfigError(f"model.causal = true: must be false for densities, whose points have no order; {instead}")
    if model.attention not in WITH_DENSITY:
        known = " or ".join(WITH_DENSITY)
        raise ConfigError(f'model.attention = "{model.attention}": must be {known} for densities; {instead}')


def _law(c: Configuration) -> LayerLaw:
    noise = Noise(c.noise.seed, c.noise.member)
    layers = c.layers
    retraction = RETRACTIONS[layers.retraction] if hasattr(layers, "retraction") else RETRACTIONS["normalize"]
    heads, kernel = _heads(c), _kernel(c)
    law: LayerLaw
    if layers.kind == "recorded":
        law = _recorded(c, Path(layers.file), retraction)
    elif heads is None:
        raise ConfigError("heads: missing section")
    elif layers.kind == "transformer" and isinstance(heads, SmoothHeads):
        law = SmoothTransformer(heads, kernel, layers.eta, layers.heads, noise, retraction)
    elif layers.kind == "transformer":
        law = RandomTransformer(heads, kernel, layers.eta, layers.heads, noise, retraction)
    elif layers.kind == "ballistic":
        law = Ballistic(heads, kernel, layers.dt, layers.nodes, noise, SCHEMES[layers.scheme], retraction)
    elif layers.kind == "modified":
        scheme, eps = SCHEMES[layers.scheme], layers.noise_scale
        law = Modified(heads, kernel, layers.dt, layers.eta, eps, layers.nodes, noise, scheme, retraction)
    elif isinstance(heads, FixedHeads):
        raise ConfigError(f'heads.kind = "fixed": not with layers.kind = "{layers.kind}"')
    else:
        eps, fixed = layers.noise_scale, layers.nodes_fixed
        law = Homogenized(heads, kernel, layers.dt, layers.nodes, noise, eps, fixed, retraction)
    return law


def _recorded(c: Configuration, path: Path, retraction: Retraction) -> RecordedLayers:
    """Layers from a file, with the kernel of the configuration, of the file's beta."""
    law = _told("layers.file", _read_layers, path, retraction)
    if law.beta not in (c.model.beta, float(np.float32(c.model.beta))):  # an attribute may be single
        raise ConfigError(f"model.beta = {c.model.beta:g}: must equal the layers file's beta = {law.beta:g}")
    return replace(law, kernel=_kernel(c))


def _read_layers(path: Path, retraction: Retraction) -> RecordedLayers:
    if is_model(path):
        try:
            return read_checkpoint(path).layers(retraction)
        except ImportError as error:
            raise ValueError(f"{path}: {error}") from None
    return read_layers(path, retraction)


def _with_mlp(c: Configuration, law: LayerLaw) -> LayerLaw:
    """The law with the MLP block of [layers.mlp] behind each of its layers, whatever its kind."""
    mlp = getattr(c.layers, "mlp", None)
    if mlp is None:
        return law
    try:
        block = MLPBlock(ACTIVATIONS[mlp.activation], mlp.width, mlp.sigma_r, mlp.sigma_w)
        return WithMLP(law, block, Noise(c.noise.seed, c.noise.member), RETRACTIONS[c.layers.retraction])
    except ValueError as error:
        raise ConfigError(f"layers.mlp: {error}") from None


def _refined(law: LayerLaw, refine: int) -> LayerLaw:
    """The law on the same path with shorter steps."""
    try:
        return law if refine == 1 else refine_within(law, refine)
    except ValueError as error:
        raise ConfigError(f"layers.refine = {refine}: {error}") from None


def _heads(c: Configuration) -> IndependentEntries | FixedHeads | None:
    heads, d = c.heads, c.model.d
    if heads is None:
        return None
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
    if isinstance(heads, config_models.SmoothHeads):
        return SmoothHeads(d, heads.sigma_v, heads.sigma_a, heads.head_dim, mean_v, mean_a, heads.modes)
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
        series = _told("initial.file", read_density, Path(initial.file))
        if series.sphere.d != d:
            raise ConfigError(
                f"initial.file = {initial.file}: holds a density with d = {series.sphere.d}, model.d is {d}"
            )
        return series
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


def _quadrature_tokens(initial: InitialLaw, d: int, n: int) -> tuple[Tokens, tuple[str, ...]]:
    """Quadrature nodes weighted by the density: on S^2 k x 2k, k the integer that brings 2 k^2 closest to n."""
    if not hasattr(initial, "pdf"):
        raise ConfigError('simulate.sampling = "quadrature": needs an initial law with a density')
    size = SPHERES[d].size_near(n)
    points, area = SPHERES[d].quadrature(size)
    weights = area * initial.pdf(points)
    told = f"simulate.tokens = {n}: rounded to {len(area)} quadrature nodes ({size[0]} x {size[1]})"
    notes = () if len(area) == n else (told,)
    kept = weights > 0
    return Tokens(points[kept], weights[kept]), notes
