"""Flows: how a state goes through the layers of a law, in the only loop there is; that of tokens among them."""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, Protocol, TypeVar

import numpy as np

from particles.arrays import Array, SolverError, check_count, unit
from particles.attention.base import DirectField, FieldFactory, field_of
from particles.errors import called
from particles.files.recorder import Recorder, record
from particles.given import check_kernel
from particles.layers.base import LayerLaw, Telling
from particles.layers.residual import PreNorm, start_points
from particles.machine.buffers import reused
from particles.machine.locks import one_blas_thread
from particles.measure import AnyTokens, Cloud, WeightedPoints, mean_token, second_moment
from particles.pushes import Field, Push

if TYPE_CHECKING:
    import xarray as xr
else:
    from particles.files import late_xarray as xr

LOG = logging.getLogger(__name__)  # a run that begins again says so: it is no warning about its numbers
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


class BeginAgain(Exception):
    """A record shows that the run is to begin again; `Flow.again` knows how."""


class Flow(ABC, Generic[S]):
    """How a state goes through the layers of a law, and what a file says of it.

    `advance` is the only loop over layers, `run` the only one over records.
    """

    @abstractmethod
    def start(self, *args: Any, **kwargs: Any) -> S:
        """State at depth 0."""

    @abstractmethod
    def step(self, state: S) -> S:
        """The state behind one more layer; SolverError, with the last good state, where there is none."""

    @abstractmethod
    def record(self, state: S) -> xr.Dataset:
        """What a file says of a state; BeginAgain where the run is to begin again."""

    @abstractmethod
    def static(self, start: S) -> xr.Dataset:
        """What a file says once, given the state at depth 0; its attributes are those of the file."""

    @abstractmethod
    def restore(self, arrays: dict[str, Array]) -> S:
        """Inverse of `State.arrays`."""

    def fresh(self, state: S) -> S:
        """The state as a run takes it: what this run says is not said for another one."""
        return state

    def again(self, start: S, why: BeginAgain) -> tuple[Flow[S], S]:
        """How to begin again a run that began at `start`."""
        raise why

    @reused()
    def advance(self, state: S, until: int, progress: Progress | None = None) -> S:
        """Apply the layers state.step ... until - 1; progress is called with the number of layers applied."""
        while state.step < until:
            state = self.step(state)
            if progress is not None:
                progress(state.step)
        return state

    @one_blas_thread()
    def run(
        self,
        state: S,
        save_steps: Sequence[int],
        recorder: Recorder | None = None,
        progress: Progress | None = None,
        *,
        start: S | None = None,
        tell: Callable[[str], None] = LOG.warning,
    ) -> Recorder:
        """Advance from record to record.

        A run that stops on its own leaves its last good state as the last record before the error goes on.

        Parameters
        ----------
        state : where to go on from, with a record of it unless `start` is given.
        save_steps : steps to be recorded.   recorder : for the records; by default one in memory, which is returned.
        start : state at depth 0 of a run that is resumed.   tell : called once, where the run begins again.
        """
        recorder = Recorder() if recorder is None else recorder
        flow: Flow[S] = self
        state = self.fresh(state)
        begun, resumed, told = (state, False, False) if start is None else (start, True, False)
        while True:
            if not resumed:
                recorder.begin_again(flow.static(begun))
            try:
                flow._from_record_to_record(state, save_steps, recorder, progress, resumed)
                return recorder
            except BeginAgain as why:
                if not told:
                    tell(str(why))
                flow, begun = flow.again(begun, why)
                state, resumed, told = begun, False, True

    def _from_record_to_record(
        self, state: S, save_steps: Sequence[int], recorder: Recorder, progress: Progress | None, resumed: bool
    ) -> None:
        if not resumed:
            recorder.append(self.record(state), state.arrays())
        try:
            for target in save_steps:
                if target > state.step:
                    state = self.advance(state, target, progress)
                    recorder.append(self.record(state), state.arrays())
        except SolverError as error:
            if isinstance(error.state, type(state)) and error.state.step > state.step:
                recorder.append(self.record(error.state), error.state.arrays())
            raise
        finally:
            recorder.flush()


def schedule(n_steps: int, save_every: int) -> list[int]:
    """Steps to save: every `save_every`-th, the first and the last."""
    check_count(n_steps, "n_steps", least=0)
    check_count(save_every, "save_every")
    return sorted({*range(0, n_steps + 1, save_every), n_steps})


class TokenState(NamedTuple):
    """Tokens after `step` layers."""

    step: int
    points: Array
    weights: Array

    def arrays(self) -> dict[str, Array]:
        """The state by name."""
        return {"step": np.asarray(self.step), "tokens": self.points, "token_weight": self.weights}


@dataclass(frozen=True, eq=False)
class TokenFlow(Flow[TokenState]):
    """Tokens that go through the layers of a law.

    Parameters
    ----------
    law : law of the layers.   field : factory of the velocity field.
    """

    law: LayerLaw
    field: FieldFactory = DirectField

    def start(self, tokens: AnyTokens, radius: float = 1.0) -> TokenState:
        """State at depth 0; radius: length of the tokens in a residual stream."""
        if not isinstance(tokens, WeightedPoints):
            raise TypeError(f"tokens must be Tokens(points), or EuclideanTokens in R^d, got {type(tokens).__name__}")
        if tokens.d != self.law.d:
            raise ValueError(f"tokens have dimension {tokens.d}, the layers {self.law.d}")
        check_kernel(getattr(self.law, "kernel", None), self.law.d, itself=True)
        return TokenState(0, start_points(tokens, self.law, radius), tokens.weights)

    def step(self, state: TokenState) -> TokenState:
        """Tokens behind one more layer; SolverError when they stop being finite."""
        cloud = Cloud(state.points, state.weights)

        def make(push: Push, measure: Cloud) -> Field:
            return field_of(self.field, push, measure, len(measure.points))

        try:
            with np.errstate(over="ignore", invalid="ignore"):  # tokens in R^d may leave the range of numbers: below
                for push in self.law.layer(state.step):
                    cloud, _ = push.move(cloud, (), make)
        except (ArithmeticError, np.linalg.LinAlgError) as error:
            raise self._end(str(error), state) from None
        if not max(cloud.points.max(), -cloud.points.min()) <= LARGEST:  # without an array of their absolute values
            raise self._end("the tokens are no longer finite", state)
        return TokenState(state.step + 1, cloud.points, cloud.weights)

    def _end(self, why: str, state: TokenState) -> SolverError:
        return SolverError(why, step=state.step, depth_time=state.step * self.law.dt, state=state)

    def record(self, state: TokenState) -> xr.Dataset:
        """Tokens and their moments; in a residual stream their directions, with the radius beside them."""
        if not isinstance(self.law, PreNorm):
            cloud = Cloud(state.points, state.weights)
            more = self.law.variables(cloud) if isinstance(self.law, Telling) else {}
            return record(state.step, self.law, {**token_variables(cloud), **more})
        radius = np.sqrt(np.einsum("ij,ij->i", state.points, state.points))
        found = token_variables(Cloud(unit(state.points), state.weights))
        found["radius"] = (("token",), radius, "length of the tokens in the residual stream")
        return record(state.step, self.law, found)

    def static(self, start: TokenState) -> xr.Dataset:
        """The weights."""
        return xr.Dataset({"weight": ("token", start.weights, {"long_name": "weight of a token", "units": "1"})})

    def restore(self, arrays: dict[str, Array]) -> TokenState:
        return TokenState(int(arrays["step"]), arrays["tokens"], arrays["token_weight"])


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


@called("the kernel is the law's: simulate(tokens, law, n_steps=...), law = Homogenized(heads, Softmax(beta), ...)")
def simulate(
    tokens: AnyTokens,
    law: LayerLaw,
    *,
    n_steps: int,
    save_every: int = 1,
    field: FieldFactory = DirectField,
    radius: float = 1.0,
    checkpoint: Recorder | None = None,
    progress: Progress | None = None,
) -> xr.Dataset:
    """Push tokens through the first `n_steps` layers of a law.

    Parameters
    ----------
    tokens : tokens on S^(d-1), or in R^d for layers whose retraction is `translate`.
    law : law of the layers; law.layer(k) is applied at step k.
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
    >>> law = RandomTransformer(GaussianHeads(4), Softmax(2.0), eta=0.1, n_heads=2, noise=Noise(7))
    >>> simulate(tokens, law, n_steps=10, save_every=5).sizes["depth_time"]
    3
    """
    flow = TokenFlow(law, field)
    return flow.run(flow.start(tokens, radius), schedule(n_steps, save_every), checkpoint, progress).result()
