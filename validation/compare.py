"""Tokens beside the density on the same layers, and the distances between them.

Three instruments.  coupled_rms: each token against its passive twin, which starts where the token starts and is
carried by the density's flow; it is the mean-field error itself and has no sampling floor.  W2 and W1 between the
tokens and an independent sample of the density.  w2_floor, w1_floor: between two such samples, what they show at least.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import xarray as xr

from particles import output
from particles.arrays import Array, SolverError
from particles.attention import FieldFactory
from particles.euclidean import AnyTokens
from particles.simulate import Progress, TokenState, advance_tokens, run, token_state, token_static, token_variables
from particles.tokens import Cloud, unit_lengths
from spde.density import Density
from spde.records import node_weights
from spde.solver import DensityFlow
from spde.state import DensityState, density_state
from validation.distances import w1_geodesic, w2_chordal


@dataclass(frozen=True, eq=False)
class CompareState:
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


def compare_state(arrays: dict[str, Array]) -> CompareState:
    """Inverse of `CompareState.arrays`."""
    return CompareState(density_state(arrays), token_state(arrays))


@dataclass(frozen=True, eq=False)
class Comparison:
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

    def start(self, density: Density, tokens: AnyTokens, samples: tuple[Array, Array]) -> CompareState:
        """State at depth 0; samples are two independent draws (n, 3) of the density."""
        for sample in samples:
            unit_lengths(sample, "sampled point")
        passive = np.concatenate([tokens.points, *samples])
        return CompareState(self.flow.start(density, passive), TokenState(0, tokens.points, tokens.weights))

    def advance(self, state: CompareState, until: int, progress: Progress | None = None) -> CompareState:
        """Apply the layers state.step ... until - 1 to both, the density first."""
        while state.step < until:
            try:
                density = self.flow.advance(state.density, state.step + 1)
                tokens = advance_tokens(
                    state.tokens, state.step + 1,
                    law=self.flow.law, attention=self.flow.attention, field=self.token_field,
                )  # fmt: skip
            except SolverError as error:
                error.state = state
                raise
            state = CompareState(density, tokens)
            if progress is not None:
                progress(state.step)
        return state

    def observe(self, state: CompareState) -> xr.Dataset:
        """The record of a state."""
        found = self.flow.observe(state.density)
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
            output.record(
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
                },
            ),
            compat="no_conflicts",
        )

    def static(self, state: CompareState) -> xr.Dataset:
        """What a compare file says once."""
        nodes = state.density.nodes
        return xr.merge([self.flow.static(nodes), token_static(state.tokens.weights), xr.Dataset(node_weights(nodes))])


def distance_steps(save_steps: Sequence[int], count: int) -> frozenset[int]:
    """`count` of the steps to save, evenly spread, first and last among them."""
    chosen = np.unique(np.linspace(0, len(save_steps) - 1, min(count, len(save_steps))).round().astype(int))
    return frozenset(save_steps[k] for k in chosen)


def compare(
    comparison: Comparison,
    state: CompareState,
    *,
    save_steps: Sequence[int],
    recorder: output.Recorder,
    resumed: bool = False,
    progress: Progress | None = None,
) -> CompareState:
    """Run both on the same layers from `state` on; records go to the recorder."""
    return run(
        state,
        advance=lambda now, until: comparison.advance(now, until, progress),
        observe=comparison.observe,
        save_steps=save_steps,
        recorder=recorder,
        resumed=resumed,
    )
