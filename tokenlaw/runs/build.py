"""From a configuration to the objects that run: the only place where strings choose."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from particles import (
    ACTIVATIONS,
    RETRACTIONS,
    AnyTokens,
    Ballistic,
    Causal,
    DirectField,
    Empirical,
    EuclideanTokens,
    FieldFactory,
    FixedHeads,
    Homogenized,
    IndependentEntries,
    InitialDensity,
    InitialLaw,
    Kernel,
    LayerLaw,
    Linear,
    MLPBlock,
    Modified,
    Noise,
    PreNorm,
    RandomTransformer,
    RecordedLayers,
    Retraction,
    Simplex,
    SmoothHeads,
    SmoothTransformer,
    Stream,
    Tokens,
    WithMLP,
    WithPrivateNoise,
    check_tolerance,
    direct_field,
    read_checkpoint,
    torch_field,
)
from particles.attention import KERNELS, Spectral
from particles.files import is_model, naming, noted, read_layers
from particles.layers import SCHEMES, check_radius, refine_within
from particles.layers.mlp import check_joint
from spde import FIRST_SIZE, Density, DensityFlow, Domain, SeriesLaw, auto_size, diffuses, spectral_field, unit_sphere
from spde.domain import check_degree
from spde.field import SPECTRAL, auto_field
from tokenlaw.config import read as config
from tokenlaw.config.read import ConfigError, Configuration
from tokenlaw.config.told import chosen, telling
from tokenlaw.config.toml import keyed, show
from tokenlaw.runs.memory import layer_terms, refuse_too_large
from tokenlaw.runs.parts import completed, heads_of, initial_of, quadrature_tokens, told

PRECISIONS = {"double": np.float64, "single": np.float32}
WITH_DENSITY = Spectral | Linear
"""Kernels that move densities: their weights are those of any point."""
DENSITY_NAMES = [name for name, kernel in KERNELS.items() if issubclass(kernel, WITH_DENSITY)]


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
        self._refuse_density()
        with telling(c, "solve"):
            sphere = unit_sphere(c.model.d, c.solve.lmax)
        self._flow(sphere)  # which refuses what it cannot do before anything is computed
        carried = c.solve.given_nodes
        try:
            if isinstance(self.initial, Empirical):
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

    def _refuse_density(self) -> None:
        """Densities live on spheres, need weights that any point may have, and have one velocity in a step."""
        c, instead = self.configuration, "tokenlaw simulate takes it"
        solve, kind, names = c.solve, c.layers.kind, " or ".join(DENSITY_NAMES)
        stages = kind == "ballistic" and getattr(c.layers, "scheme", "euler") != "euler"
        tokens_diffuse = isinstance(self.law, WithPrivateNoise) and isinstance(self.initial, Empirical)
        for wrong, path, text in (
            (c.model.space != "sphere", "model.space", f"densities live on the sphere; {instead}"),
            (c.model.causal, "model.causal", f"must be false for densities, whose points have no order; {instead}"),
            (
                isinstance(self.law, PreNorm), "layers.norm",
                f'must be "post" for densities: directions alone do not say how they move on; {instead}',
            ),
            (
                not isinstance(_kernel(c), WITH_DENSITY),
                "model.attention", f"must be {names} for densities; {instead}",
            ),
            (tokens_diffuse, "initial.kind", "must have a density with layers.private_noise"),
            (
                solve.characteristics and isinstance(self.initial, Empirical),
                "solve.characteristics", "needs an initial density; tokens have none",
            ),
            (
                solve.characteristics and kind == "modified",
                "solve.characteristics", 'must be false with layers.kind = "modified"',
            ),
            (
                solve.characteristics and stages,
                "solve.characteristics", 'needs layers.scheme = "euler" with ballistic layers',
            ),
        ):  # fmt: skip
            if wrong:
                raise ConfigError(keyed(c, path, text))

    def flow(self, density: Density, refine: bool = False) -> DensityFlow:
        """How the density is advanced; `refine`: whether nodes that are too few end the run, see `DensityFlow`."""
        carried = self.configuration.solve.given_nodes or auto_size(density.sphere, density.level or 0)
        return self._flow(density.sphere, carried, refine and density.may_refine(diffuses(self.law)))

    def _flow(self, sphere: Domain, carried: tuple[int, int] = FIRST_SIZE, refine: bool = False) -> DensityFlow:
        c = self.configuration.solve
        with telling(self.configuration, "solve"):
            return DensityFlow(
                sphere, self.law, spectral_field(c.field_tol), c.remap_every, c.on_unresolved,
                c.characteristics, carried, c.moment_tol, refine,
            )  # fmt: skip

    def tokens(self) -> tuple[AnyTokens, tuple[str, ...]]:
        """Initial tokens, and sentences about their number where it is not the one asked for."""
        tokens, notes = self._tokens()
        law = self.law
        while isinstance(law, PreNorm | WithPrivateNoise):
            law = law.law
        if isinstance(law, WithMLP) and law.most_points is not None:
            with telling(self.configuration, "layers"):
                check_joint(len(tokens), law.d)
        return tokens, notes

    def _tokens(self) -> tuple[AnyTokens, tuple[str, ...]]:
        c = self.configuration.simulate
        if isinstance(self.initial, Empirical):
            return self.initial.tokens, ()
        if c.sampling == "quadrature":
            return quadrature_tokens(self.initial, self.configuration.model.d, c.tokens)
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
        heads = heads_of(c)
        recorded = _law(c, heads)
    c = completed(c, heads)
    law = _around(c, recorded)
    if law.d != c.model.d:
        raise ConfigError(f"model.d = {c.model.d}: the layers have d = {law.d}")
    if isinstance(recorded, RecordedLayers):
        plan = config.steps(c, len(recorded))
    else:
        plan = config.steps(c)
    with noted() as of_initial:
        initial = initial_of(c)
    with telling(c, "solve"):  # whatever the command
        check_degree(c.solve.lmax)
        check_tolerance(c.solve.field_tol, "field_tol")
        check_tolerance(c.solve.moment_tol, "moment_tol")
    with telling(c, "initial"):
        check_radius(getattr(c.initial, "radius", 1.0), law)
    inputs = {"layers" if c.layers.kind == "recorded" else "heads": of_layers, "initial": of_initial}
    return Experiment(c, law, initial, plan, inputs)


def _kernel(c: Configuration) -> Kernel:
    kernel: Any = chosen(KERNELS, c, "model.attention")(c.model.beta)
    with telling(c, "model.causal = true"):
        return Causal(kernel) if c.model.causal else kernel


def _law(c: Configuration, heads: IndependentEntries | FixedHeads | None) -> LayerLaw:
    """The layers of attention alone."""
    layers, kernel, noise = c.layers, _kernel(c), Noise(c.noise.seed, c.noise.member)
    retraction = chosen(RETRACTIONS, c, "layers.retraction")
    if layers.kind == "recorded":
        return _recorded(c, Path(layers.file), retraction)
    drawn: Any = heads  # the kinds of heads that a law takes were checked with the configuration
    with telling(c, "layers"):
        if layers.kind == "transformer":
            kind = SmoothTransformer if isinstance(heads, SmoothHeads) else RandomTransformer
            return kind(drawn, kernel, layers.eta, layers.heads, noise, retraction)
        if layers.kind == "homogenized":
            eps, fixed = layers.noise_scale, layers.nodes_fixed
            return Homogenized(drawn, kernel, layers.dt, layers.nodes, noise, eps, fixed, retraction)
        scheme = chosen(SCHEMES, c, "layers.scheme")
        if layers.kind == "ballistic":
            return Ballistic(drawn, kernel, layers.dt, layers.nodes, noise, scheme, retraction)
        eps = layers.noise_scale
        return Modified(drawn, kernel, layers.dt, layers.eta, eps, layers.nodes, noise, scheme, retraction)


def _recorded(c: Configuration, path: Path, retraction: Retraction) -> RecordedLayers:
    """Layers from a file, with the kernel of the configuration, of the file's beta."""
    law = told("layers.file", _read_layers, path, retraction)
    if law.beta not in (c.model.beta, float(np.float32(c.model.beta))):  # an attribute may be single
        raise ConfigError(f"model.beta = {c.model.beta:g}: must equal the layers file's beta = {law.beta:g}")
    if isinstance(law.kernel, Causal):  # of a decoder, which knows its positions and its window
        wanted = {"model.causal": (c.model.causal, True), "layers.norm": (getattr(c.layers, "norm", "post"), "rms"),
                  "model.attention": (c.model.attention, "softmax")}  # fmt: skip
        for key, (value, right) in wanted.items():
            if value != right:
                raise ConfigError(f"{key} = {show(value)}: must be {show(right)} for the decoder in {path}")
        return law
    return replace(law, kernel=_kernel(c))


def _read_layers(path: Path, retraction: Retraction) -> RecordedLayers:
    if is_model(path):
        with naming(path, ImportError):
            return read_checkpoint(path).recorded(retraction)
    return read_layers(path, retraction)


def _around(c: Configuration, law: LayerLaw) -> LayerLaw:
    """The law with what stands around its attention: an MLP block, private noise, a residual stream, shorter steps."""
    layers, noise = c.layers, Noise(c.noise.seed, c.noise.member)
    retraction = chosen(RETRACTIONS, c, "layers.retraction")
    mlp, nu = getattr(layers, "mlp", None), getattr(layers, "private_noise", 0.0)
    norm, refine = getattr(layers, "norm", "post"), getattr(layers, "refine", 1)
    with telling(c, "layers"):
        if mlp is not None:
            activation = chosen(ACTIVATIONS, c, "layers.mlp.activation")
            law = WithMLP(law, MLPBlock(activation, mlp.width, mlp.sigma_r, mlp.sigma_w), noise, retraction)
        if nu:
            law = WithPrivateNoise(law, nu, noise, c.simulate.replica, retraction)
        if norm != "post":
            law = PreNorm(law, 1.0 if norm == "pre" else law.d**0.5)
        return law if refine == 1 else refine_within(law, refine)
