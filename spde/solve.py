"""Solve the equation for a density, to a dataset."""

import xarray as xr

from particles import (
    Array,
    FieldFactory,
    LayerLaw,
    Progress,
    Recorder,
    called,
    schedule,
)
from particles.layers import diffuses
from spde.carried import auto_size
from spde.density import FIRST_SIZE, Density
from spde.field.choice import default_field
from spde.flow import MOMENT_TOL, DensityFlow


@called("the kernel is the law's: solve(density, law, n_steps=...), law = Homogenized(heads, Softmax(beta), ...)")
def solve(
    density: Density,
    law: LayerLaw,
    *,
    n_steps: int,
    save_every: int = 1,
    field: FieldFactory = default_field,
    passive: Array | None = None,
    remap_every: int = 1,
    on_unresolved: str = "warn",
    characteristics: bool = False,
    carried: tuple[int, int] | None = None,
    moment_tol: float = MOMENT_TOL,
    checkpoint: Recorder | None = None,
    progress: Progress | None = None,
) -> xr.Dataset:
    """Solve the stochastic nonlinear Fokker-Planck equation (5) along one realization of the layers.

    Parameters
    ----------
    density : initial density, on S^2 or S^1.
    law : law of the layers, of the same d.
    n_steps, save_every : numbers of layers; the first and the last state are always saved.
    field : factory of the velocity field.
    characteristics : follow the density along the carried nodes through any collapse; adds node, node_log_density,
        node_weight, entropy, area_defect, lyapunov and folds.
    passive : (P, d) unit vectors (to 1e-6) that ride on the flow (twins of tokens, samples); saved as `passive`.
    remap_every, on_unresolved : see `DensityFlow`.
    carried : latitudes and longitudes of the nodes that private noise makes anew; None: as the density's were chosen.
    moment_tol : where the estimated error of mean and second moment is larger at a record, and the density's nodes were
        chosen (not given), the run begins again with finer ones, and says so once.
    checkpoint : recorder to use instead of memory.
    progress : called with the number of layers applied.

    Returns
    -------
    xarray.Dataset with density(depth_time, lat, lon), on the circle density(depth_time, lon),
    coefficients(depth_time, mode, part), moments and diagnostics.

    Raises
    ------
    TypeError, ValueError : characteristics of layers or densities that have none.
    SolverError : the state is no longer finite, or not resolved with on_unresolved = "stop", or negative where
        private noise makes nodes anew.

    Examples
    --------
    >>> from particles import GaussianHeads, Homogenized, Noise, Softmax, VonMisesFisherMixture
    >>> from spde import Density, Sphere, solve
    >>> start = Density.from_law(VonMisesFisherMixture([1.0], [[0.0, 0.0, 1.0]], [2.0]), Sphere(31))
    >>> law = Homogenized(GaussianHeads(3), Softmax(2.0), dt=0.02, nodes=8, noise=Noise(7))
    >>> run = solve(start, law, n_steps=10)
    >>> bool(abs(run.mass - 1).max() < 1e-12)
    True
    """
    private = diffuses(law)
    size = carried or (FIRST_SIZE if density.level is None else auto_size(density.sphere, density.level))
    flow = DensityFlow(
        density.sphere, law, field, remap_every, on_unresolved, characteristics, size, moment_tol,
        density.may_refine(private) and (carried is None or not private), passive is not None and len(passive) > 0,
    )  # fmt: skip
    return flow.run(flow.start(density, passive), schedule(n_steps, save_every), checkpoint, progress).result()
