"""Equations of one's own against peers in one run: error against processor time, on one core.

    OMP_NUM_THREADS=1 python benchmarks/equations.py [--quick]

S^2       McKean and Vlasov's equation with w of two degrees and private noise: Dedalus 3 (dedalus_equation.py)
S^1       the noisy Kuramoto model, a pull by an axis, plain diffusion: py-pde and fplanck (circle_peers.py)

Peers run in processes of their own, with the Python named by DEDALUS_PYTHON and CIRCLE_PEERS_PYTHON, or with those that
`make peers` makes.  Errors are the largest at a point, over the largest density, against references solved by other
means (equation_reference.py).  Of the settings of a solver that are tried, the cheapest within the error is measured
once more, in turns with ours.  Of a peer the steps alone count, warm; of ours the whole of `solve`, records included.
"""

import json
import math
import os
import statistics
import subprocess
import time
from pathlib import Path

import numpy as np
from common import Result, Row, main, peer_python
from equation_reference import circle, sphere

from particles import Noise, RungeKutta4
from particles import VonMisesFisherMixture as Mixture
from particles.equations import Dot, Equation, ExponentialRungeKutta4, Legendre, Pull, Zonal, multipliers
from spde import Circle, Density, Sphere, solve

W = Legendre((0.0, 1.0, 1.0))
ON_SPHERE = {"nu": 0.1, "t_end": 1.0, "start": [[2 / 3, 2.0, [0, 0, 1]], [1 / 3, 3.0, [1, 0, 0]]]}
ON_CIRCLE = {"nu": 0.2, "t_end": 2.0, "start": [[2 / 3, 2.0, 0.0], [1 / 3, 3.0, 2.0]]}
OURS = [(lmax, steps) for lmax in (23, 27) for steps in (32, 44, 50, 64, 90)]
HALVES = [(27, 40), (27, 160)]  # of the splitting into halves of private noise
DEDALUS = [("SBDF4", 27, 90), ("SBDF4", 27, 120), ("SBDF3", 27, 280), ("RK443", 27, 140), ("RK222", 27, 500)]
MORE = [("SBDF4", 25, 120), ("SBDF4", 31, 120), ("SBDF4", 27, 180), ("SBDF3", 27, 400), ("RK443", 27, 170), ("SBDF2", 27, 800)]  # fmt: skip  # noqa: E501
CIRCLES = {
    "noisy Kuramoto": ({"coupling": 1.0, "pull": 0.0}, (8, 11, 16, 32), ("py-pde",)),
    "pull": ({"coupling": 0.0, "pull": 1.0}, (8, 11, 16, 32), ("py-pde", "fplanck")),
    "diffusion": ({"coupling": 0.0, "pull": 0.0}, (1,), ("py-pde", "fplanck")),
}  # problem, steps of ours, packages
POINTS = (64, 128, 192, 256, 352, 512)
LMAX = 23
AIM_SPHERE, AIM_CIRCLE = 1e-6, 1e-4


class Peer:
    """A process that solves one problem with other settings at every call."""

    def __init__(self, python, script, problem):
        threads = {"OMP_NUM_THREADS": "1", "NUMEXPR_MAX_THREADS": "1", "NUMBA_NUM_THREADS": "1"}
        self._process = subprocess.Popen(
            [python, Path(__file__).with_name(script)], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, text=True, env=os.environ | threads,
        )  # fmt: skip
        self.version = self._asked(problem)

    def _asked(self, question):
        self._process.stdin.write(json.dumps(question) + "\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline().strip()
        if not answer:
            raise RuntimeError((self._process.stderr.read().strip().splitlines() or ["no answer"])[-1])
        return answer

    def __call__(self, *setting):
        """Seconds, places and values."""
        return json.loads(self._asked(setting))

    def close(self):
        self._process.communicate()


def sphere_run(lmax, steps, scheme):
    """Seconds of ours on S^2, and the density at the end."""
    law = Equation(3, (Zonal(W),), ON_SPHERE["t_end"] / steps, Noise(7), nu=ON_SPHERE["nu"], scheme=scheme)
    weights, kappas, means = zip(*ON_SPHERE["start"], strict=True)
    density = Density.from_law(Mixture(weights, means, kappas), Sphere(lmax))
    return spent_and_end(density, law, steps)


def circle_run(problem, lmax, steps):
    """Seconds of ours on S^1, and the density at the end."""
    drift = [Zonal(Dot(problem["coupling"]))] if problem["coupling"] else []
    drift += [Pull([problem["pull"], 0.0])] if problem["pull"] else []
    scheme = ExponentialRungeKutta4()
    law = Equation(2, tuple(drift), problem["t_end"] / steps, Noise(7), nu=problem["nu"], scheme=scheme)
    weights, kappas, angles = zip(*problem["start"], strict=True)
    means = [[math.cos(angle), math.sin(angle)] for angle in angles]
    return spent_and_end(Density.from_law(Mixture(weights, means, kappas), Circle(lmax)), law, steps)


def spent_and_end(density, law, steps):
    """Seconds of `solve`, and the density at the end."""
    begun = time.process_time()
    run = solve(density, law, n_steps=steps, save_every=steps)
    spent = time.process_time() - begun
    pair, order = run["coefficients"].values[-1], np.lexsort((density.sphere.orders, density.sphere.degrees))
    coefficients = np.empty(len(order), dtype=np.complex128)
    coefficients[order] = pair[:, 0] + 1j * pair[:, 1]
    return spent, Density(density.sphere, coefficients, density.nodes)


class SphereCase:
    """The equation on S^2: each solver as a function of a setting that gives seconds and error."""

    name = "S^2"

    def __init__(self, python):
        factors = multipliers(W, 3, 1e-14).tolist()
        self.peer = None if python is None else Peer(python, "dedalus_equation.py", ON_SPHERE | {"factors": factors})
        reference = sphere(factors, ON_SPHERE["nu"], ON_SPHERE["t_end"], ON_SPHERE["start"])
        grid = Sphere(47)
        self.points = np.ascontiguousarray(grid.points)
        self.exact = reference(np.arccos(grid.points[:, 2]), np.arctan2(grid.points[:, 1], grid.points[:, 0]))
        self.reference, self._known = reference, {}

    def ours(self, lmax, steps, scheme=ExponentialRungeKutta4()):  # noqa: B008 - immutable
        spent, end = sphere_run(lmax, steps, scheme)
        return spent, float(np.abs(end.at(self.points) - self.exact).max() / self.exact.max())

    def halves(self, lmax, steps):
        return self.ours(lmax, steps, RungeKutta4())

    def dedalus(self, scheme, lmax, steps):
        found = self.peer(scheme, lmax, steps)
        values = np.array(found["values"]).T
        if lmax not in self._known:
            theta, phi = np.meshgrid(found["theta"], found["phi"], indexing="ij")
            self._known[lmax] = self.reference(theta.ravel(), phi.ravel()).reshape(theta.shape)
        return found["seconds"], float(np.abs(values - self._known[lmax]).max() / self.exact.max())


class CircleCase:
    """An equation on S^1, likewise."""

    def __init__(self, name, python, problem):
        self.name, self.problem = f"S^1, {name}", ON_CIRCLE | problem
        self.peer = None if python is None else Peer(python, "circle_peers.py", self.problem)
        parts = [(w, kappa, (math.cos(angle), math.sin(angle))) for w, kappa, angle in self.problem["start"]]
        p = self.problem
        self.reference = circle(p["coupling"], p["pull"], p["nu"], p["t_end"], parts)
        angles = 2 * np.pi * np.arange(256) / 256
        self.points, self.exact = np.stack([np.cos(angles), np.sin(angles)], axis=1), self.reference(angles)

    def ours(self, lmax, steps):
        spent, end = circle_run(self.problem, lmax, steps)
        return spent, float(np.abs(end.at(self.points) - self.exact).max() / self.exact.max())

    def theirs(self, package, points):
        found = self.peer(package, points, 1e-6)
        error = np.abs(np.array(found["values"]) - self.reference(np.array(found["theta"]))).max()
        return found["seconds"], float(error / self.exact.max())


def tried(case, name, function, settings, rows):
    """Each setting once: a row each; the settings by seconds and error."""
    found = {}
    for setting in settings:
        found[setting] = function(*setting)
        spent, error = found[setting]
        rows.append(Row(f"{case.name}: {name}{said(setting)}, error {error:.1e}", 1e3 * spent, "ms"))
    return found


def said(setting):
    """A setting in words."""
    return " ".join(str(part) for part in setting)


def cheapest(found, aim):
    """The setting that reached an error in the least time; None where none has."""
    within = {setting: spent for setting, (spent, error) in found.items() if error <= aim}
    return min(within, key=within.get) if within else None


def compared(case, peer, ours, theirs, aim, turns, rows):
    """The row of the cheapest settings in turns; theirs: name -> (function, found)."""
    mine, best = cheapest(ours[1], aim), cheapest(theirs[1], aim)
    if mine is None or best is None:
        name, found = ("tokenlaw", ours[1]) if mine is None else (peer, theirs[1])
        least = min(error for _, error in found.values())
        rows.append(Row(f"{case.name}: error {aim:g} not reached by {name}", least, "least error"))
        return
    times = {"ours": [], "theirs": []}
    for _ in range(turns):
        times["ours"].append(ours[0](*mine)[0])
        times["theirs"].append(theirs[0](*best)[0])
    mid = {name: statistics.median(found) for name, found in times.items()}
    name = said(best) if best[0] == peer else f"{peer} {said(best)}"
    ratio, setting = mid["ours"] / mid["theirs"], f"{name}, {1e3 * mid['theirs']:.3g} ms"
    what = f"{case.name}, error {aim:g}: tokenlaw {said(mine)}"
    aimed = peer == "Dedalus"
    target, met = ("at most 0.333", ratio <= 1 / 3) if aimed else ("", None)
    rows.append(Row(what, 1e3 * mid["ours"], "ms", setting, ratio, target, met))


def sphere_rows(python, turns, quick, notes):
    """The equation on S^2."""
    rows, case = [], SphereCase(python)
    case.ours(*OURS[0])  # what is made once
    ours = tried(case, "tokenlaw ", case.ours, OURS, rows)
    tried(case, "tokenlaw, halves of noise, ", case.halves, HALVES, rows)
    if python is not None:
        notes.append(f"Dedalus {case.peer.version}, one core; settings are scheme, lmax, steps")
        theirs = tried(case, "Dedalus ", case.dedalus, DEDALUS if quick else DEDALUS + MORE, rows)
        compared(case, "Dedalus", (case.ours, ours), (case.dedalus, theirs), AIM_SPHERE, turns, rows)
        case.peer.close()
    return rows


def circle_rows(python, turns, notes):
    """The equations on S^1."""
    rows = []
    for name, (problem, steps, packages) in CIRCLES.items():
        case = CircleCase(name, python, problem)
        case.ours(LMAX, steps[0])
        ours = tried(case, "tokenlaw ", case.ours, [(LMAX, n) for n in steps], rows)
        if python is None:
            continue
        for package in packages:
            settings = [(package, points) for points in POINTS]
            theirs = tried(case, "", case.theirs, settings, rows)
            compared(case, package, (case.ours, ours), (case.theirs, theirs), AIM_CIRCLE, turns, rows)
        if not any(case.peer.version in note for note in notes):
            notes.append(f"{case.peer.version}, one core; settings are points of the grid")
        case.peer.close()
    return rows


def run(quick):
    """Rows of S^2 and S^1."""
    notes, turns = ["settings of tokenlaw are lmax, steps"], 3 if quick else 7
    pythons = peer_python("dedalus", "DEDALUS_PYTHON"), peer_python("pde", "CIRCLE_PEERS_PYTHON", "peers")
    for python, name in zip(pythons, ("Dedalus 3", "py-pde and fplanck"), strict=True):
        if python is None:
            notes.append(f"{name} not installed (`make peers`): no ratios")
    rows = sphere_rows(pythons[0], turns, quick, notes) + circle_rows(pythons[1], turns, notes)
    return Result("equations", rows, notes)


if __name__ == "__main__":
    main(run)
