"""Structured spherical-harmonic transforms on a Gauss grid, by shtns or ducc0.

Coefficients are numbered as in `particles.harmonics`, which has the transforms at free points.
"""

import contextlib
import io
from functools import lru_cache
from types import ModuleType
from typing import Any, Protocol

import ducc0
import numpy as np

from particles import Array, Coefficients, mode_numbers


@lru_cache(maxsize=1)
def shtns_module() -> ModuleType | None:
    """The shtns module, or None where it is not installed; its line on stdout is swallowed."""
    with contextlib.redirect_stdout(io.StringIO()):
        try:
            import shtns
        except ImportError:
            return None
    module: ModuleType = shtns
    return module


def smooth(number: int) -> bool:
    """Whether a number has no prime factor beyond 5."""
    for prime in (2, 3, 5):
        while number > 0 and number % prime == 0:
            number //= prime
    return number == 1


def even_smooth(least: int) -> int:
    """Smallest even number >= least with no prime factor beyond 5."""
    candidate = least + least % 2
    while not smooth(candidate):
        candidate += 2
    return candidate


class Transforms(Protocol):
    """Structured transforms of one degree on one grid."""

    def synthesis(self, a: Coefficients, out: Array | None = None) -> Array:
        """Coefficients to grid values, written to `out` (C-contiguous) where it is given."""
        ...

    def analysis(self, f: Array) -> Coefficients:
        """Grid values to coefficients."""
        ...

    def gradient(self, a: Coefficients) -> tuple[Array, Array]:
        """Components (theta, phi) of the gradient."""
        ...

    def divergence(self, v_theta: Array, v_phi: Array) -> Coefficients:
        """Coefficients of the divergence of a tangent field."""
        ...


class _ShtnsTransforms:
    """shtns.  By itself it ends the process on sizes it does not like, and takes arrays of other shapes."""

    def __init__(self, module: ModuleType, lmax: int, nlat: int, nphi: int) -> None:
        if not (2 <= lmax <= 2047 and nlat > lmax and nphi > 2 * lmax):
            raise ValueError(f"shtns needs 2 <= lmax <= 2047, nlat > lmax, nphi > 2 lmax, got {lmax}, {nlat}, {nphi}")
        if nlat < 32 or nlat % 8 or nphi % 2 or not smooth(nphi):
            raise ValueError(
                f"shtns needs nlat >= 32, a multiple of 8, and nphi even with no prime beyond 5, got {nlat}, {nphi}"
            )
        self._plan: Any = module.sht(lmax, lmax, 1, module.sht_orthonormal, 1)
        flags = module.sht_quick_init | module.SHT_PHI_CONTIGUOUS
        self._plan.set_grid(nlat, nphi, flags, 0.0)
        degrees, _ = mode_numbers(lmax)
        self._shape, self._modes = (nlat, nphi), degrees.shape
        self._laplacian = -(degrees * (degrees + 1.0))

    def synthesis(self, a: Coefficients, out: Array | None = None) -> Array:
        if out is not None and not (out.shape == self._shape and out.dtype == np.float64 and out.flags.c_contiguous):
            raise ValueError(f"out must be a contiguous array of shape {self._shape} in double precision")
        values: Array = self._plan.spat_array() if out is None else out
        self._plan.SH_to_spat(self._coefficients(a), values)
        return values

    def analysis(self, f: Array) -> Coefficients:
        result: Coefficients = self._plan.analys(self._grid(f))
        return result

    def gradient(self, a: Coefficients) -> tuple[Array, Array]:
        v_theta, v_phi = self._plan.synth_grad(self._coefficients(a))
        return v_theta, v_phi

    def divergence(self, v_theta: Array, v_phi: Array) -> Coefficients:
        spheroidal, _ = self._plan.analys(self._grid(v_theta), self._grid(v_phi))
        result: Coefficients = self._laplacian * spheroidal
        return result

    def _coefficients(self, a: Coefficients) -> Coefficients:
        if a.shape != self._modes:
            raise ValueError(f"coefficients must have shape {self._modes}, got {a.shape}")
        return np.ascontiguousarray(a, dtype=np.complex128)

    def _grid(self, f: Array) -> Array:
        """A copy: shtns is free to work in place."""
        if f.shape != self._shape:
            raise ValueError(f"grid values must have shape {self._shape}, got {f.shape}")
        return np.array(f, dtype=np.float64, order="C")


class DuccTransforms:
    """ducc0, for any degree and any Gauss grid; analysis needs nlat > lmax and nphi > 2 lmax."""

    def __init__(self, lmax: int, nlat: int, nphi: int) -> None:
        self._common = {"lmax": lmax, "mmax": lmax, "geometry": "GL", "nthreads": 1}
        self._shape = {"ntheta": nlat, "nphi": nphi}
        degrees, _ = mode_numbers(lmax)
        self._root = np.sqrt(degrees * (degrees + 1.0))

    def synthesis(self, a: Coefficients, out: Array | None = None) -> Array:
        into = {} if out is None else {"map": out[None]}
        values: Array = ducc0.sht.synthesis_2d(alm=a[None], spin=0, **into, **self._shape, **self._common)[0]
        return values

    def analysis(self, f: Array) -> Coefficients:
        result: Coefficients = ducc0.sht.analysis_2d(map=f[None], spin=0, **self._common)[0]
        return result

    def gradient(self, a: Coefficients) -> tuple[Array, Array]:
        pair = ducc0.sht.synthesis_2d(alm=a[None], spin=1, mode="DERIV1", **self._shape, **self._common)
        return pair[0], pair[1]

    def divergence(self, v_theta: Array, v_phi: Array) -> Coefficients:
        pair = ducc0.sht.analysis_2d(map=np.stack([v_theta, v_phi]), spin=1, **self._common)
        result: Coefficients = -self._root * pair[0]
        return result


@lru_cache(maxsize=32)
def plan(backend: str, lmax: int, nlat: int, nphi: int) -> Transforms:
    """Transforms of a backend, "shtns" or "ducc0"; made once."""
    module = shtns_module()
    if backend == "shtns" and module is not None:
        return _ShtnsTransforms(module, lmax, nlat, nphi)
    return DuccTransforms(lmax, nlat, nphi)


def analysis_of_map(values: Array, lmax: int, geometry: str, first: float) -> Coefficients:
    """Coefficients up to lmax of a map (rings, longitudes), by the quadrature of its rings.

    Parameters
    ----------
    values : north to south, eastward.   geometry : of the rings, as ducc0 names it.   first : longitude, radians.
    """
    found: Coefficients = ducc0.sht.analysis_2d(
        map=np.ascontiguousarray(values)[None], spin=0, lmax=lmax, geometry=geometry, phi0=first
    )[0]
    return found
