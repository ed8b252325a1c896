"""What a density file says: the record of a state, and what is said once."""

import numpy as np
import xarray as xr

from particles import Array, Cloud, LayerLaw
from particles.files import record
from particles.layers import Variables
from spde.density import Density
from spde.domain.base import Domain
from spde.resolution import Resolution
from spde.state import DensityState


def record_of(
    state: DensityState, density: Density, law: LayerLaw, found: Resolution, remapped: bool, more: Variables
) -> xr.Dataset:
    """Variables of a density file at the depth of a state, whose density is given; `remapped` says that it ever is.

    more : what else is said of it.
    """
    sphere, along = density.sphere, state.characteristics
    order = by_degree(sphere)
    pair = np.stack([density.coefficients.real[order], density.coefficients.imag[order]], axis=1)
    mean = density.mean
    defect = max(found.defect, np.nan_to_num(found.moments)) if remapped else np.nan
    none: tuple[str, ...] = ()
    result = record(
        state.step,
        law,
        {
            "density": (sphere.dims, density.grid_values, "density of the token law"),
            "coefficients": (("mode", "part"), pair, f"{sphere.series} coefficients of the density"),
            "mass": (none, density.mass, "mass of the density"),
            "mean_token": (("component",), mean, "mean token, from the carried nodes"),
            "mean_overlap": (none, mean @ mean, "squared length of the mean token"),
            "second_moment": (
                ("component", "component2"), density.second_moment, "second moment, from the carried nodes",
            ),
            "moment_error": (none, found.moments, "error of these moments by two sets of carried nodes, an estimate"),
            "moment_defect": (none, defect, "largest difference of low moments among the representations"),
            "min_density": (none, density.minimum, "smallest value of the density on the grid"),
            "negative_mass": (none, found.negative_mass, "mass of the negative part of the density"),
            "spectral_tail": (none, density.spectral_tail, "norm of the top tenth of the degrees over the norm of all"),
            "local_error": (none, found.local, "error of the density at a point over its maximum, an estimate"),
            "field_degree": (none, np.int32(state.field_degree), "largest degree of the velocity field"),
            "field_error": (none, state.field_error.total, "error of the low moments by the field, an estimate"),
            "unresolved": (none, np.int8(found.lost), "1 where the pointwise density is lost"),
            **({} if along is None else along.variables(state.nodes, state.step * law.dt)),
            **more,
        },
    )  # fmt: skip
    result["density"].attrs["cell_measures"] = "area: area"
    return result


def static_of(sphere: Domain, nodes: Cloud | None) -> xr.Dataset:
    """What a density file says once: grid, areas, mode numbers, parts; weights of the nodes where they are given."""
    order = by_degree(sphere)
    degrees, orders = (numbers[order].astype(np.int32) for numbers in (sphere.degrees, sphere.orders))
    measure = {"long_name": "area of a cell, quadrature weight", "units": "sr" if sphere.d == 3 else "radian"}
    return xr.Dataset(
        {
            "area": (sphere.dims, sphere.weights.reshape(sphere.shape), measure),
            **({} if nodes is None else node_weights(nodes)),
        },
        coords={
            **sphere.coordinates(),
            "sh_degree": ("mode", degrees, {"long_name": "degree l", "units": "1"}),
            "sh_order": ("mode", orders, {"long_name": "order m", "units": "1"}),
            "part": ("part", np.array(["real", "imag"]), {"long_name": "part of the complex coefficient"}),
        },
    )


def node_weights(nodes: Cloud) -> dict[str, tuple[str, Array, dict[str, str]]]:
    """The weights of carried nodes, as a variable."""
    return {"node_weight": ("node", nodes.weights, {"long_name": "weight of a carried node", "units": "1"})}


def by_degree(sphere: Domain) -> "np.ndarray[tuple[int], np.dtype[np.intp]]":
    """Permutation from the transforms' numbering of the modes to degree by degree."""
    return np.lexsort((sphere.orders, sphere.degrees))
