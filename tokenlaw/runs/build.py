"""From a configuration to the objects that run: the only place where strings choose."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from particles import (
    AnyTokens,
    DirectField,
    Empirical,
    EuclideanTokens,
    FieldFactory,
    InitialDensity,
    InitialLaw,
    LayerLaw,
    Linear,
    Noise,
    PreNorm,
    RecordedLayers,
    Simplex,
    Stream,
    Tokens,
    WithMLP,
    WithPrivateNoise,
    check_tolerance,
    direct_field,
    torch_field,
)
from particles.attention import KERNELS, Spectral
from particles.files import noted
from particles.layers import check_radius
from particles.layers.mlp import check_joint
from spde import FIRST_SIZE, Density, DensityFlow, Domain, SeriesLaw, auto_size, diffuses, spectral_field, unit_sphere
from spde.domain import check_degree
from spde.field import SPECTRAL, auto_field
from tokenlaw.config import read as config
from tokenlaw.config.read import ConfigError, Configuration
from tokenlaw.config.told import telling
from tokenlaw.config.toml import keyed
from tokenlaw.runs.functions import REFUSED, Functions
from tokenlaw.runs.laws import around, kernel_of, law_of
from tokenlaw.runs.memory import layer_terms, refuse_too_large
from tokenlaw.runs.parts import completed, heads_of, initial_of, quadrature_tokens

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
        tokens_diffuse = diffuses(self.law) and isinstance(self.initial, Empirical)
        for wrong, path, text in (
            (c.model.space != "sphere", "model.space", f"densities live on the sphere; {instead}"),
            (c.model.causal, "model.causal", f"must be false for densities, whose points have no order; {instead}"),
            (
                isinstance(self.law, PreNorm), "layers.norm",
                f'must be "post" for densities: directions alone do not say how they move on; {instead}',
            ),
            (
                kind != "equation" and not isinstance(kernel_of(c), WITH_DENSITY),
                "model.attention", f"must be {names} for densities; {instead}",
            ),
            (tokens_diffuse, "initial.kind", "must have a density with layers.private_noise"),
            (
                solve.characteristics and isinstance(self.initial, Empirical),
                "solve.characteristics", "needs an initial density; tokens have none",
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
        if diffuses(law) and getattr(law, "tolerance", None) is not None:
            text = "must be left out for tokens with layers.private_noise, which are random; tokenlaw solve takes it"
            raise ConfigError(keyed(self.configuration, "layers.tolerance", text))
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
            if on_sphere and (c.layers.kind == "equation" or isinstance(kernel_of(c), Spectral)):
                return auto_field(c.solve.field_tol)
            kind = "direct"
        if kind == "spectral":
            if c.layers.kind != "equation" and not isinstance(kernel_of(c), Spectral):
                got = f"causal {c.model.attention}" if c.model.causal else c.model.attention
                raise ConfigError(f'simulate.field = "spectral": needs softmax or l2 attention, got {got}; use "auto"')
            return spectral_field(c.solve.field_tol)
        if kind == "torch":
            try:
                return torch_field(precision=precision)
            except ImportError as error:
                raise ConfigError(f'simulate.field = "torch": {error}') from None
        return DirectField if precision == np.float64 else direct_field(precision)


def build(c: Configuration, functions: Functions = REFUSED) -> Experiment:
    """Make the objects of a configuration; ConfigError (one line) where they do not fit together.

    `functions`: what becomes of the Python functions that it names.
    """
    refuse_too_large([*layer_terms(c)])
    with noted() as of_layers:
        heads = heads_of(c)
        recorded = law_of(c, heads, functions)
    c = completed(c, heads)
    law = around(c, recorded)
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
    of_heads = "layers" if c.layers.kind == "recorded" else "heads"
    inputs = {of_heads: of_layers, "functions": functions.sums, "initial": of_initial}
    return Experiment(c, law, initial, plan, inputs)
