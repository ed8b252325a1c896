"""A Gaussian closure from a NetCDF file with V, Q, K, mean, covariance and t_end."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from particles.arrays import SolverError
from particles.attention.table import KERNELS
from particles.errors import ArgumentError
from particles.files.inputs import arranged, naming, numbers, open_input
from particles.initial import Gaussian
from particles.reduced.gaussian_closure import ClosedAttention, GaussianClosure

if TYPE_CHECKING:
    import xarray as xr
else:
    from particles.files import late_xarray as xr

CLOSED = {name: kernel for name, kernel in KERNELS.items() if issubclass(kernel, ClosedAttention)}


def closure_from_file(path: Path | str, attention: str = "softmax") -> dict[str, Any]:
    """Mean and covariance at t_end of Gaussian tokens, and the blow-up time.  mathematics, section 6.

    Parameters
    ----------
    path : NetCDF file with the variables V (row, col), Q and K (head_row, col), each with an axis `head` for several
        heads, mean (component), covariance (component, component2); t_end and, if wanted, beta (default 1) as
        variables or attributes.  The axes of V, Q and K are known by these names in any order (`row` may stand for
        `head_row`); where none of the names is among them, they count in this order.
    attention : softmax, l2, sinkhorn or linear.

    Returns
    -------
    dict with mean (list), covariance (list of lists), blow_up_time (number, or None when there is none up to t_end).
    mean and covariance are None when the blow-up comes before t_end.

    Raises
    ------
    ValueError : one sentence that names the file and what is wrong.
    """
    if attention not in CLOSED:
        raise ArgumentError("attention", attention, f"be one of {', '.join(CLOSED)}")
    path = Path(path)
    with open_input(path) as dataset:
        arrays = {name: _matrices(dataset, name, path) for name in ("V", "Q", "K")}
        arrays |= {name: numbers(dataset, name, path) for name in ("mean", "covariance")}  # whose order is no matter
        t_end, beta = _number(dataset, "t_end", path), _number(dataset, "beta", path, 1.0)
    with naming(path, SolverError), np.errstate(over="ignore", invalid="ignore"):  # what leaves the range is told
        closure = GaussianClosure(CLOSED[attention](beta), arrays["V"], arrays["Q"], arrays["K"])
        path_of_laws = closure.solve(Gaussian(arrays["mean"], arrays["covariance"]), t_end, [t_end])
    reached = path_of_laws.blow_up_time is None
    return {
        "mean": path_of_laws.mean[-1].tolist() if reached else None,
        "covariance": path_of_laws.covariance[-1].tolist() if reached else None,
        "blow_up_time": path_of_laws.blow_up_time,
    }


def _matrices(dataset: xr.Dataset, name: str, path: Path) -> NDArray[Any]:
    values = numbers(dataset, name, path)
    dims = dataset[name].dims
    if not {"head", "head_row", "row", "col"} & set(dims):
        return values
    rows = "head_row" if name != "V" and "head_row" in dims else "row"
    return arranged(dataset, name, path, ("head", rows, "col") if "head" in dims else (rows, "col"))


def _number(dataset: xr.Dataset, name: str, path: Path, default: float | None = None) -> float:
    """A number that stands in the file as a variable or as an attribute."""
    value = numbers(dataset, name, path) if name in dataset else dataset.attrs.get(name, default)
    if value is None:
        raise ValueError(f"{path}: {name} is missing, as a variable or as an attribute")
    array = np.asarray(value)
    if array.size != 1 or array.dtype.kind not in "fiu":
        raise ValueError(f"{path}: {name} must be one number, got {str(value)[:60]!r}")
    return float(array.reshape(()))
