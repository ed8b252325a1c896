"""An equation of McKean and Vlasov on S^2 by Dedalus 3: the peer of `equations.py`, for a Python that has dedalus.

    d rho/dt = -div(rho grad(w * rho)) + nu Lap rho,     w * by its multipliers, degree by degree; one core

Reads one line, the problem as JSON: factors, nu, t_end, and the start as [weight, kappa, mean] of laws of von Mises and
Fisher.  Writes its version, and for every further line [scheme, lmax, steps] a line of JSON: seconds of processor time
of the steps alone, nothing built among them and the first ones warm, and the density on its grid, made twice as fine.
"""

import json
import logging
import sys
import time

import numpy as np

logging.disable(logging.CRITICAL)
import dedalus  # noqa: E402
import dedalus.public as d3  # noqa: E402
from dedalus.core.operators import SphereEllProduct  # noqa: E402

GROWTH, GROWING = 1.25, 24  # ratio of steps of multistep schemes, and how many grow


def start(parts, theta, phi):
    """The density of a mixture."""
    found = 0
    for weight, kappa, (x, y, z) in parts:
        along = np.sin(theta) * (x * np.cos(phi) + y * np.sin(phi)) + z * np.cos(theta)
        found = found + weight * kappa / (4 * np.pi * np.sinh(kappa)) * np.exp(kappa * along)
    return found


def solver_of(problem, scheme, lmax):
    """The solver of an initial value problem, and its density."""
    coordinates = d3.S2Coordinates("phi", "theta")
    distributor = d3.Distributor(coordinates, dtype=np.float64)
    basis = d3.SphereBasis(coordinates, (2 * (lmax + 1), lmax + 1), radius=1, dealias=3 / 2, dtype=np.float64)
    rho = distributor.Field(name="rho", bases=basis)
    phi, theta = distributor.local_grids(basis, scales=2)
    rho.change_scales(2)
    rho["g"] = start(problem["start"], theta, phi)
    rho.change_scales(1)  # its solver needs fields on the grid of the basis
    factors = np.zeros(lmax + 1)
    known = problem["factors"][: lmax + 1]
    factors[: len(known)] = known
    potential = SphereEllProduct(rho, coordinates, lambda ell, radius: factors[np.asarray(ell)])
    names = {"rho": rho, "potential": potential, "nu": problem["nu"]}
    equation = d3.IVP([rho], namespace=names)
    equation.add_equation("dt(rho) - nu*lap(rho) = -div(rho*grad(potential))")
    return equation.build_solver(getattr(d3, scheme), warmup_iterations=0), rho, (theta, phi)


def sizes_of(scheme, steps):
    """Shares of the time that the steps take: multistep schemes, which begin with order 1, grow into their step."""
    growing = GROWTH ** np.minimum(np.arange(steps) - GROWING, 0.0) if scheme.startswith("SBDF") else np.ones(steps)
    return growing / growing.sum()


def answer(problem, scheme, lmax, steps):
    """Seconds of all steps, and the density at the end."""
    for turn in range(2):  # the first run compiles and fills caches
        solver, rho, (theta, phi) = solver_of(problem, scheme, lmax)
        sizes, begun = problem["t_end"] * sizes_of(scheme, steps), time.process_time()
        for dt in sizes if turn else sizes[:6]:
            solver.step(dt)
        spent = time.process_time() - begun
    rho.change_scales(2)
    return {"seconds": spent, "theta": theta.ravel().tolist(), "phi": phi.ravel().tolist(), "values": rho["g"].tolist()}


if __name__ == "__main__":
    given = json.loads(sys.stdin.readline())
    print(dedalus.__version__, flush=True)
    for line in sys.stdin:
        print(json.dumps(answer(given, *json.loads(line))), flush=True)
