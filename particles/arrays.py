"""Checks that every array and every number passes at the door."""

import math
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from particles.errors import ArgumentError

Array = NDArray[np.float64]


def rebuilt(kind: type[BaseException], args: tuple[Any, ...], attributes: dict[str, Any]) -> BaseException:
    """An exception as it was sent from another process, where its constructor takes other arguments than its text."""
    error = kind.__new__(kind, *args)
    error.args = args
    error.__dict__.update(attributes)
    return error


class RunError(RuntimeError):
    """A run, or a computation in it, that stopped on its own."""


class SolverError(RunError):
    """A run whose state is no longer good.

    Attributes
    ----------
    step : number of the step that failed.
    depth_time : depth time before that step.
    state : last state known to be good.
    """

    def __init__(self, reason: str, *, step: int, depth_time: float, state: Any = None) -> None:
        super().__init__(f"{reason} (step {step}, depth time {depth_time:g})")
        self.step = step
        self.depth_time = depth_time
        self.state = state

    def __reduce__(self) -> tuple[Any, ...]:
        return rebuilt, (type(self), self.args, self.__dict__)


class ConvergenceError(ArithmeticError):
    """An iteration that has not converged within the number of steps allowed."""


def as_array(value: ArrayLike, name: str, shape: tuple[int | None, ...]) -> Array:
    """Return `value` as a finite, native, C-contiguous float64 array of the given shape (None: any length)."""
    try:
        raw = np.asarray(value)
    except ValueError:  # lists of different lengths
        raise ArgumentError(name, "rows of different lengths", "be an array, all rows of one length") from None
    if raw.dtype.kind not in "fiu":
        raise TypeError(f"{name} must hold real numbers, got {raw.dtype}")
    array = np.ascontiguousarray(raw, dtype=np.float64)
    if array.ndim != len(shape) or any(
        want is not None and have != want for have, want in zip(array.shape, shape, strict=True)
    ):
        wanted = "(" + ", ".join("any" if n is None else str(n) for n in shape) + ")"
        raise ArgumentError(name, array.shape, f"have shape {wanted}")
    if not np.isfinite(array).all():
        raise ArgumentError(name, np.float64(array[~np.isfinite(array)][0]), "be finite")
    return array


def check_positive(value: float, name: str) -> None:
    """Refuse what is no number in (0, inf)."""
    if not 0 < value < math.inf:  # written so that NaN is caught
        raise ArgumentError(name, value, "be positive and finite")


def check_not_negative(value: float, name: str) -> None:
    """Refuse what is no number in [0, inf)."""
    if not 0 <= value < math.inf:
        raise ArgumentError(name, value, "be finite and >= 0")


def check_count(value: int, name: str, least: int = 1, most: float = math.inf) -> None:
    """Refuse what is no integer from `least` to `most`; True and False are none."""
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or not least <= value <= most:
        allowed = f">= {least}" if most == math.inf else f"between {least} and {most}"
        raise ArgumentError(name, value, f"be an integer {allowed}")


def cast(array: Array, precision: type) -> Array:
    """The array in the given precision; the array itself where it has it."""
    result: Array = np.asarray(array, dtype=precision)
    return result


def lengths(vectors: Array) -> Array:
    """|v| along the last axis; NaN where its square is no number, because v / infinity would be a zero vector."""
    norm: Array = np.sqrt(np.einsum("...i,...i->...", vectors, vectors))
    if np.max(norm, initial=0.0) == np.inf:  # a NaN among them, which max gives, speaks for all
        norm = np.where(norm < np.inf, norm, np.nan)
    return norm


def unit(vectors: Array) -> Array:
    """nrm(v) = v / |v| along the last axis, evaluated without a temporary of vector size more than once."""
    result: Array = vectors / lengths(vectors)[..., None]
    return result


def check_tolerance(value: float, name: str, most: float = 0.1) -> None:
    """Refuse what is no number in (0, most]."""
    if not 0 < value <= most:
        raise ArgumentError(name, value, f"lie in (0, {most:g}]")
