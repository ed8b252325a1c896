"""The time loop of tokens, and the record loop that every run shares."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, NamedTuple, Protocol, TypeVar

import numpy as np

from particles import output
from particles.arrays import Array, SolverError, check_count, unit
from particles.attention import Attention, DirectField, FieldFactory, field_of
from particles.buffers import reused
from particles.euclidean import AnyTokens
from particles.given import check_kernel
from particles.layers import LayerLaw
from particles.parallel import one_blas_thread
from particles.pushes import AttentionPush, Field, FieldPush
from particles.residual import PreNorm, start_points
from particles.tokens import Cloud, WeightedPoints, mean_token, second_moment

if TYPE_CHECKING:
    import xarray as xr
else:
    from particles import late_xarray as xr

Progress = Callable[[int], None]
LARGEST = 1e150  # a coordinate whose square, in the moments, is still a number


class State(Protocol):
    """Where a run stands: a step and arrays enough to go on bitwise."""

    @property
    def step(self) -> int:
        """Number of layers applied."""
        ...

    def arrays(self) -> dict[str, Array]:
        """The state by name, to be written."""
        ...


S = TypeVar("S", bound=State)


class TokenState(NamedTuple):
    """Tokens after `step` layers."""

    step: int
    points: Array
    weights: Array

    def arrays(self) -> dict[str, Array]:
        """The state by name."""
        return {"step": np.asarray(self.step), "tokens": self.points, "token_weight": self.weights}


def token_state(arrays: dict[str, Array]) -> TokenState:
    """Inverse of `TokenState.arrays`."""
    return TokenState(int(arrays["step"]), arrays["tokens"], arrays["token_weight"])


def schedule(n_steps: int, save_every: int) -> list[int]:
    """Steps to save: every `save_every`-th, the first and the last."""
    check_count(n_steps, "n_steps", least=0)
    check_count(save_every, "save_every")
    return sorted({*range(0, n_steps + 1, save_every), n_steps})


@one_blas_thread()
def run(
    state: S,
    *,
    advance: Callable[[S, int], S],
    observe: Callable[[S], xr.Dataset],
    save_steps: Sequence[int],
    recorder: output.Recorder,
    resumed: bool = False,
) -> S:
    """Advance from record to record.

    A run that stops on its own leaves its last good state as the last record before the error goes on.
    """
    if not resumed:
        recorder.append(observe(state), state.arrays())
    try:
        for target in save_steps:
            if target > state.step:
                state = advance(state, target)
                recorder.append(observe(state), state.arrays())
    except SolverError as error:
        if isinstance(error.state, type(state)) and error.state.step > state.step:
            recorder.append(observe(error.state), error.state.arrays())
        raise
    finally:
        recorder.flush()
    return state


def push_tokens(
    cloud: Cloud, law: LayerLaw, step: int, attention: Attention, field: FieldFactory
) -> Cloud:
    """Push a cloud through layer number `step`."""

    def make(push: AttentionPush | FieldPush, measure: Cloud) -> Field:
        return field_of(field, attention, push, measure, len(measure.points))

    for push in law.layer(step):
        cloud, _ = push.move(cloud, (), make)
    return cloud


@reused()
def advance_tokens(
    state: TokenState,
    until: int,
    *,
    law: LayerLaw,
    attention: Attention,
    field: FieldFactory = DirectField,
    progress: Progress | None = None,
) -> TokenState:
    """Apply the layers state.step ... until - 1 to the tokens; SolverError when they stop being finite."""
    for step in range(state.step, until):
        try:
            with np.errstate(over="ignore", invalid="ignore"):  # tokens in R^d may leave the range of numbers: below
                cloud = push_tokens(Cloud(state.points, state.weights), law, step, attention, field)
        except (ArithmeticError, np.linalg.LinAlgError) as error:
            raise SolverError(str(error), step=step, depth_time=step * law.dt, state=state) from None
        if not max(cloud.points.max(), -cloud.points.min()) <= LARGEST:  # without an array of their absolute values
            raise SolverError("the tokens are no longer finite", step=step, depth_time=step * law.dt, state=state)
        state = TokenState(step + 1, cloud.points, cloud.weights)
        if progress is not None:
            progress(step + 1)
    return state


def token_variables(cloud: Cloud, prefix: str = "") -> dict[str, tuple[tuple[str, ...], Array, str]]:
    """What a record says of tokens."""
    mean = mean_token(cloud)
    short = "tokens_mean" if prefix else "mean_token"
    return {
        "tokens": (("token", "component"), cloud.points, "positions of the tokens"),
        short: (("component",), mean, "mean token"),
        f"{prefix}mean_overlap": ((), mean @ mean, "squared length of the mean token"),
        f"{prefix}second_moment": (("component", "component2"), second_moment(cloud), "second moment of the tokens"),
    }


def token_record(law: LayerLaw, state: TokenState) -> xr.Dataset:
    """The record of tokens; in a residual stream their directions, with the radius beside them."""
    if not isinstance(law, PreNorm):
        return output.record(state.step, law, token_variables(Cloud(state.points, state.weights)))
    radius = np.sqrt(np.einsum("ij,ij->i", state.points, state.points))
    variables = token_variables(Cloud(unit(state.points), state.weights))
    return output.record(
        state.step, law, {**variables, "radius": (("token",), radius, "length of the tokens in the residual stream")}
    )


def token_static(weights: Array) -> xr.Dataset:
    """Variables of a token file that do not change."""
    return xr.Dataset({"weight": ("token", weights, {"long_name": "weight of a token", "units": "1"})})


def simulate(
    tokens: AnyTokens,
    law: LayerLaw,
    attention: Attention,
    *,
    n_steps: int,
    save_every: int = 1,
    field: FieldFactory = DirectField,
    radius: float = 1.0,
    checkpoint: output.Recorder | None = None,
    progress: Progress | None = None,
) -> xr.Dataset:
    """Push tokens through the first `n_steps` layers of a law.

    Parameters
    ----------
    tokens : tokens on S^(d-1), or in R^d for layers whose retraction is `translate`.
    law : law of the layers; law.layer(k) is applied at step k.
    attention : kernel of the heads.
    n_steps, save_every : numbers of layers; the first and the last state are always saved.
    field : factory of the velocity field; `DirectField` sums over all pairs, `spde.default_field` is O(n) for d = 2, 3.
    radius : length of the tokens at depth 0 in a residual stream (`PreNorm`); 1 elsewhere.
    checkpoint : recorder to use instead of memory.
    progress : called with the number of layers applied.

    Returns
    -------
    xarray.Dataset with tokens(depth_time, token, component), weight(token), mean_token, mean_overlap, second_moment;
    in a residual stream tokens are the directions, and radius(depth_time, token) stands beside them.

    Examples
    --------
    >>> import numpy as np
    >>> from particles import GaussianHeads, Noise, RandomTransformer, Softmax, Tokens, Uniform, simulate
    >>> tokens = Tokens(Uniform(4).sample(np.random.default_rng(0), 16))
    >>> law = RandomTransformer(GaussianHeads(4, 0.5, 0.5, 4), eta=0.1, n_heads=2, noise=Noise(7))
    >>> simulate(tokens, law, Softmax(2.0), n_steps=10, save_every=5).sizes["depth_time"]
    3
    """
    if not isinstance(tokens, WeightedPoints):
        raise TypeError(f"tokens must be Tokens(points), or EuclideanTokens in R^d, got {type(tokens).__name__}")
    if tokens.d != law.d:
        raise ValueError(f"tokens have dimension {tokens.d}, the layers {law.d}")
    check_kernel(attention, law.d, itself=True)
    recorder = checkpoint if checkpoint is not None else output.Recorder(static=token_static(tokens.weights))
    run(
        TokenState(0, start_points(tokens, law, radius), tokens.weights),
        advance=lambda state, until: advance_tokens(
            state, until, law=law, attention=attention, field=field, progress=progress
        ),
        observe=lambda state: token_record(law, state),
        save_steps=schedule(n_steps, save_every),
        recorder=recorder,
    )
    return recorder.result()
