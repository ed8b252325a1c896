"""The field of softmax heads by torch.nn.functional.scaled_dot_product_attention, on a processor or on a GPU.

Heads are done together.  What is averaged, inner y or y, is done as many columns at a time as queries and keys have,
because the kernels that need no memory for the scores want the same width of all three; and some queries at a time, so
that memory stays bounded where torch has no such kernel (double precision on a GPU).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

import numpy as np

from particles.arrays import Array, cast
from particles.attention.base import AttentionPush, FieldFactory
from particles.attention.softmax import Softmax
from particles.measure import Measure

SCORES: Final = 1 << 28  # scores of one call: 2 GB in double precision if torch keeps them all
ALIGNMENT: Final = 8  # widths that are multiples of it have fast kernels


@dataclass(frozen=True, eq=False)
class TorchField:
    """U(x) = sum_m C_m m_{A_m}[mu](x), as `DirectField`, computed by torch.  mathematics (2).  Softmax only."""

    push: AttentionPush
    measure: Measure
    n_targets: int = 0
    device: str = "cpu"
    precision: type = np.float32

    def __post_init__(self) -> None:
        if type(self.push.kernel) is not Softmax:
            raise TypeError(f"torch knows softmax attention, got {type(self.push.kernel).__name__}")

    def __call__(self, points: Array) -> Array:
        """U at points (N, d)."""
        import torch

        targets, sources = self._tensor(points), self._tensor(self.measure.points)
        query, key, out = (self._tensor(matrices) for matrices in (self.push.query, self.push.key, self.push.out))
        queries, keys = self._scores(targets, sources, query, key)  # (M, N, width), (M, n, width)
        velocity = torch.zeros_like(targets)
        attend = torch.nn.functional.scaled_dot_product_attention  # its fast kernels want four axes
        rows = max(1, SCORES // (len(query) * len(sources)))
        for values, columns in self._values(sources, queries.shape[-1]):  # (M, n, width)
            mix = out[:, :, columns].transpose(1, 2).reshape(-1, out.shape[1])
            for start in range(0, len(targets), rows):
                part = slice(start, start + rows)
                found = attend(queries[None, :, part], keys[None], values[None], scale=1.0)[0]
                found = found[:, :, : columns.stop - columns.start]
                velocity[part] += found.transpose(0, 1).reshape(found.shape[1], -1) @ mix
        result: Array = velocity.to("cpu", torch.float64).numpy()
        return result

    def _tensor(self, array: Array) -> Any:
        import torch

        return torch.tensor(cast(array, self.precision), device=self.device)

    def _scores(self, targets: Any, sources: Any, query: Any, key: Any) -> tuple[Any, Any]:
        """Queries and keys whose products are beta <Ax, y_j> + log w_j, padded with zeros to a multiple of 8."""
        import torch

        assert isinstance(self.push.kernel, Softmax)
        queries, keys = self.push.kernel.beta * (targets @ query.transpose(1, 2)), sources @ key.transpose(1, 2)
        weights = self.measure.weights
        if weights.min() < weights.max():
            logs = self._tensor(np.log(weights / weights.max()))[None, :, None].expand(len(keys), -1, 1)
            keys = torch.cat([keys, logs], dim=2)
            queries = torch.cat([queries, torch.ones_like(queries[:, :, :1])], dim=2)
        missing = -queries.shape[-1] % ALIGNMENT
        return torch.nn.functional.pad(queries, (0, missing)), torch.nn.functional.pad(keys, (0, missing))

    def _values(self, sources: Any, width: int) -> Iterator[tuple[Any, slice]]:
        """What the heads average, (M, n, width) at a time, padded with zeros, and which entries these are."""
        import torch

        if self.push.inner is None:
            values = sources.expand(len(self.push.query), -1, -1)
        else:
            values = sources @ self._tensor(self.push.inner).transpose(1, 2)
        n_values = values.shape[-1]
        for start in range(0, n_values, width):
            columns = slice(start, min(start + width, n_values))
            part = values[:, :, columns]
            yield torch.nn.functional.pad(part, (0, width - part.shape[-1])), columns


def torch_field(device: str = "", precision: type = np.float32) -> FieldFactory:
    """Factory of fields computed by torch: softmax attention, any d.

    Parameters
    ----------
    device : a device of torch, as "cpu" or "cuda"; left out: a GPU if torch sees one, else the processor.
    precision : numpy.float32 or numpy.float64.

    Raises
    ------
    ImportError where torch is missing (pip install "tokenlaw[torch]"); ValueError where it has no such device.
    """
    if precision not in (np.float64, np.float32):
        raise ValueError(f"precision must be numpy.float64 or numpy.float32, got {precision!r}")
    try:
        import torch
    except ImportError:
        raise ImportError('torch is not installed: pip install "tokenlaw[torch]"') from None
    device = device or ("cuda" if torch.cuda.is_available() else "cpu")
    try:
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:  # unknown; not there; not compiled in
        raise ValueError(f"device must be one that torch has, got {device!r}: {str(error).splitlines()[0]}") from None
    return partial(TorchField, device=device, precision=precision)
