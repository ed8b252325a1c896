"""Tokens beside the density on the same layers, and the distances between them.

Three instruments.  coupled_rms: each token against its passive twin, which starts where the token starts and is
carried by the density's flow; it is the mean-field error itself and has no sampling floor.  W2 and W1 between the
tokens and an independent sample of the density.  w2_floor, w1_floor: between two such samples, what they show at least.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import xarray as xr

from particles import (
    AnyTokens,
    Array,
    BeginAgain,
    Cloud,
    FieldFactory,
    Flow,
    SolverError,
    TokenFlow,
    TokenState,
    token_variables,
    unit_lengths,
)
from particles.files import record
from spde import Density, DensityFlow, DensityState, energies_of_tokens
from spde.files import node_weights
from validation.distances import w1_geodesic, w2_chordal


@dataclass(frozen=True, eq=False)
class PairState:
    """Density and tokens after the same layers.

    The density's passive points are the n twins of the tokens, then two independent samples of n points.
    """

    density: DensityState
    tokens: TokenState

    @property
    def step(self) -> int:
        """Number of layers applied."""
        return self.density.step

    def arrays(self) -> dict[str, Array]:
        """The state by name."""
        return {**self.tokens.arrays(), **self.density.arrays()}


@dataclass(frozen=True, eq=False)
class PairFlow(Flow[PairState]):
    """A density flow with tokens beside it.

    Parameters
    ----------
    flow : how the density is advanced.
    token_field : factory of the field that moves the tokens.
    distance_steps : steps at whose records the Wasserstein distances are computed (NaN at the others).
    """

    flow: DensityFlow
    token_field: FieldFactory
    distance_steps: frozenset[int]

    @cached_property
    def token_flow(self) -> TokenFlow:
        """How the tokens are advanced: on the same layers."""
        return TokenFlow(self.flow.law, self.token_field)

    def start(self, density: Density, tokens: AnyTokens, samples: tuple[Array, Array]) -> PairState:
        """State at depth 0; samples are two independent draws (n, 3) of the density."""
        for sample in samples:
            unit_lengths(sample, "sampled point")
        passive = np.concatenate([tokens.points, *samples])
        return PairState(self.flow.start(density, passive), self.token_flow.start(tokens))

    def fresh(self, state: PairState) -> PairState:
        return replace(state, density=self.flow.fresh(state.density))

    def again(self, start: PairState, why: BeginAgain) -> "tuple[PairFlow, PairState]":
        """With finer nodes of the density, the same tokens and the same samples."""
        flow, density = self.flow.again(start.density, why)
        return replace(self, flow=flow), replace(start, density=density)

    def step(self, state: PairState) -> PairState:
        """Both behind one more layer, the density first."""
        try:
            return PairState(self.flow.step(state.density), self.token_flow.step(state.tokens))
        except SolverError as error:
            error.state = state
            raise

    def restore(self, arrays: dict[str, Array]) -> PairState:
        return PairState(self.flow.restore(arrays), self.token_flow.restore(arrays))

    def record(self, state: PairState) -> xr.Dataset:
        """That of the density, the tokens, and the distances between them."""
        found = self.flow.record(state.density)
        tokens = Cloud(state.tokens.points, state.tokens.weights)
        n = len(tokens.weights)
        twins, first, second = (state.density.passive[k * n : (k + 1) * n] for k in range(3))
        gap = tokens.points - twins
        coupled = np.sqrt(tokens.weights @ np.einsum("ij,ij->i", gap, gap))
        w2 = w1 = floor = w1_floor = np.nan
        if state.step in self.distance_steps:
            w2 = w2_chordal(tokens.points, first, tokens.weights)
            w1 = w1_geodesic(tokens.points, first, tokens.weights)
            floor = w2_chordal(first, second)
            w1_floor = w1_geodesic(first, second)
        none: tuple[str, ...] = ()
        return found.merge(
            record(
                state.step,
                self.flow.law,
                {
                    **token_variables(tokens, prefix="tokens_"),
                    "node": (("node", "component"), state.density.nodes.points, "carried nodes of the density"),
                    "coupled_rms": (none, coupled, "root mean square distance of the tokens to their passive twins"),
                    "w2_chordal": (none, w2, "W2, chordal cost, tokens to an independent sample of the density"),
                    "w1_geodesic": (none, w1, "W1, geodesic cost, tokens to an independent sample of the density"),
                    "w2_floor": (none, floor, "W2, chordal cost, between two independent samples of the density"),
                    "w1_floor": (none, w1_floor, "W1, geodesic cost, between two independent samples of the density"),
                    **energies_of_tokens(self.flow.law, tokens, self.token_field),
                },
            ),
            compat="no_conflicts",
        )

    def static(self, start: PairState) -> xr.Dataset:
        weights = xr.Dataset(node_weights(start.density.nodes))
        return xr.merge([self.flow.static(start.density), self.token_flow.static(start.tokens), weights])


def distance_steps(save_steps: Sequence[int], count: int) -> frozenset[int]:
    """`count` of the steps to save, evenly spread, first and last among them."""
    chosen = np.unique(np.linspace(0, len(save_steps) - 1, min(count, len(save_steps))).round().astype(int))
    return frozenset(save_steps[k] for k in chosen)
