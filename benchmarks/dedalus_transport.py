"""One step of linear transport on S^2 by Dedalus 3: the reference of `step.py`, for a Python that has dedalus.

    python dedalus_transport.py LMAX

d rho/dt + div(rho u) = nu Lap rho with u fixed, RK222, 3/2 rule, one core.  Writes its version on a line, then takes a
step for every line that comes in, and answers with the seconds of processor time it took.
"""

import logging
import sys
import time

import numpy as np

logging.disable(logging.CRITICAL)
import dedalus  # noqa: E402
import dedalus.public as d3  # noqa: E402


def stepper(lmax):
    """A function that takes a step and returns its seconds of processor time."""
    coordinates = d3.S2Coordinates("phi", "theta")
    distributor = d3.Distributor(coordinates, dtype=np.float64)
    basis = d3.SphereBasis(coordinates, (2 * (lmax + 1), lmax + 1), dealias=3 / 2, dtype=np.float64)
    rho = distributor.Field(name="rho", bases=basis)
    u = distributor.VectorField(coordinates, name="u", bases=basis)
    phi, theta = distributor.local_grids(basis)
    rho["g"] = np.exp(2 * np.cos(theta)) * (1 + 0.3 * np.sin(theta) * np.cos(phi))
    u["g"][0], u["g"][1] = np.sin(theta), 0.3 * np.sin(theta)
    problem = d3.IVP([rho], namespace={"rho": rho, "u": u, "nu": 1e-3, "dt": d3.dt, "lap": d3.lap, "div": d3.div})
    problem.add_equation("dt(rho) - nu*lap(rho) = -div(rho*u)")
    solver = problem.build_solver(d3.RK222)

    def step():
        start = time.process_time()
        solver.step(1e-4)
        return time.process_time() - start

    return step


if __name__ == "__main__":
    take = stepper(int(sys.argv[1]))
    take()
    print(dedalus.__version__, flush=True)
    for _ in sys.stdin:
        print(take(), flush=True)
