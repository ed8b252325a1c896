"""Equations on the circle by py-pde and fplanck: peers of `equations.py`, for a Python that has both.

    d rho/dt = -d(rho u)/d theta + nu d^2 rho/d theta^2,
    u = coupling (<y> cos theta - <x> sin theta) - pull sin theta      (<x>, <y> the mean of (cos theta, sin theta))

Reads one line, the problem as JSON: coupling, pull, nu, t_end, start as [weight, kappa, angle] of von Mises' laws.
Writes its versions, and for every further line [package, points, option] a line of JSON: seconds of processor time of a
warm run, angles, and the density there; what py-pde compiles is not counted.  The option is the tolerance of its
adaptive Runge-Kutta scheme.
"""

import json
import math
import sys
import time
from importlib.metadata import version

import numpy as np
from scipy.constants import k as boltzmann
from scipy.special import i0e


def start(parts, theta):
    """The density of a mixture."""
    return sum(
        weight * np.exp(kappa * (np.cos(theta - angle) - 1)) / (2 * math.pi * i0e(kappa))
        for weight, kappa, angle in parts
    )


def by_pde(problem, points, tolerance):
    """A function that solves by py-pde; its angles."""
    from pde import PDE, CartesianGrid, RungeKuttaSolver, ScalarField

    grid = CartesianGrid([[0, 2 * math.pi]], points, periodic=True)
    names = {"K": problem["coupling"], "a": problem["pull"], "nu": problem["nu"]}
    terms = []
    if names["K"]:
        terms.append("K * (integral(c * sin(x)) * cos(x) - integral(c * cos(x)) * sin(x))")
    if names["a"]:
        terms.append("- a * sin(x)")
    rhs = "nu * laplace(c)" + (f" - d_dx(c * ({' '.join(terms)}))" if terms else "")
    equation = PDE({"c": rhs}, consts=names)
    theta = grid.cell_coords[:, 0]
    begin = ScalarField(grid, start(problem["start"], theta))

    solver = RungeKuttaSolver(equation, backend="numba", adaptive=True, tolerance=tolerance)
    stepper = solver.make_stepper(begin, dt=1e-4)  # compiled once

    def solve():
        state = begin.copy()
        found = stepper(state, 0.0, problem["t_end"])
        return (state if isinstance(found, float | int) else found[0]).data

    return solve, theta


def by_fplanck(problem, points, _):
    """A function that solves by fplanck, which has no interactions; its angles."""
    vars(np)["product"] = np.prod  # numpy 2 has lost the name, which fplanck 0.2 needs
    from fplanck import boundary, fokker_planck

    def force(x):
        return -problem["pull"] * np.sin(x)

    width = 2 * math.pi / points

    def solve():
        planned = fokker_planck(
            temperature=problem["nu"] / boltzmann, drag=1, extent=2 * math.pi, resolution=width,
            boundary=boundary.periodic, force=force,
        )  # fmt: skip
        return planned.propagate(lambda x: start(problem["start"], x), problem["t_end"]) / width

    made = fokker_planck(temperature=1.0, drag=1, extent=2 * math.pi, resolution=width, boundary=boundary.periodic)
    return solve, np.asarray(made.grid[0]).ravel()


def answer(known, problem, package, points, option):
    """Seconds of a warm run, and the density at the end; what was made once is known."""
    setting = package, points, option
    if setting not in known:
        known[setting] = {"py-pde": by_pde, "fplanck": by_fplanck}[package](problem, points, option)
        known[setting][0]()
    solve, theta = known[setting]
    begun = time.process_time()
    values = solve()
    return {"seconds": time.process_time() - begun, "theta": theta.tolist(), "values": np.ravel(values).tolist()}


if __name__ == "__main__":
    given = json.loads(sys.stdin.readline())
    print(f"py-pde {version('py-pde')}, fplanck {version('fplanck')}", flush=True)
    solvers = {}
    for line in sys.stdin:
        print(json.dumps(answer(solvers, given, *json.loads(line))), flush=True)
