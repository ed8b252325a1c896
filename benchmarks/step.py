"""Time of one density step on one core, in parts, beside bare transforms and a step of Dedalus 3 in the same run.

    OMP_NUM_THREADS=1 python benchmarks/step.py [--quick]

field      coefficients of U from the carried nodes, all heads
synthesis  the density and the three components of U on the grid, U at the carried nodes
move       retraction of grid points and carried nodes, weights
adjoint    angles and adjoint non-uniform transform of the moved points
push       synthesis, move and adjoint: what a step is beside the field
bare       the same transforms with everything given: four grid syntheses, three syntheses at the nodes, one adjoint
step       one whole step of the solver, as users run it
Dedalus    one RK222 step of linear transport at the same lmax (dedalus_transport.py), in a process of its own: with the
           Python named by DEDALUS_PYTHON, that of `make peers`, or this one where dedalus can be imported

Everything runs on one thread, in turns.  Times are processor time: on an idle machine the same as the clock's, and on a
busy one not bent by waiting.  The path goes through the quickstart's start with 8 heads, beta 2, field_tol 1e-6; each
turn takes the next layer.
"""

import os
import statistics
import subprocess
import time
from pathlib import Path

import ducc0
import numpy as np
from common import Result, Row, main, peer_python
from common import medians as in_turns

from particles import AttentionPush, Cloud, DirectField, GaussianHeads, Homogenized, Noise, Softmax
from particles import VonMisesFisherMixture as Mixture
from particles.harmonics import PRECISION, angles
from spde import Density, DensityFlow, DensityState, Sphere, spectral_field

START = Mixture([1.0, 0.5], [[0, 0, 1], [1, 0, 0]], [2.0, 3.0])
LAW = Homogenized(GaussianHeads(3, 3**-0.5, 3**-0.5, 3), Softmax(2.0), dt=0.02, nodes=8, noise=Noise(7))
SIZES = {31: 25, 63: 25, 127: 15, 255: 9}  # lmax: turns
DEDALUS = "Dedalus RK222 step"
PARTS = ("field", "synthesis", "move", "adjoint", "push", "bare", "step")
HEADS = 8
STRENGTHS = (0.5, 1.0, 2.0, 3.0, 5.0, 8.0, 12.0, 20.0)


class Dedalus:
    """A process that takes a step of Dedalus when it is called."""

    def __init__(self, python, lmax):
        script = Path(__file__).with_name("dedalus_transport.py")
        self._process = subprocess.Popen(
            [python, script, str(lmax)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            text=True, env=os.environ | {"OMP_NUM_THREADS": "1", "NUMEXPR_MAX_THREADS": "1"},
        )  # fmt: skip
        self.version = self._process.stdout.readline().strip()
        if not self.version:
            raise RuntimeError((self._process.stderr.read().strip().splitlines() or ["no answer"])[-1])

    def __call__(self):
        """One step; its seconds."""
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline()
        if not answer:
            raise RuntimeError("the Dedalus process ended: " + self._process.stderr.read().strip())
        return float(answer)

    def close(self):
        self._process.communicate()


class OnPath:
    """A path of the solver with the parts of its next step as functions without arguments."""

    def __init__(self, lmax):
        self.sphere = Sphere(lmax)
        density = Density.from_law(START, self.sphere)
        self.factory = spectral_field(1e-6)
        self.flow = DensityFlow(self.sphere, LAW, self.factory)
        self.state = DensityState(0, density.coefficients, density.nodes, np.zeros((0, 3)))
        self.degrees = []
        self.bare_turn = None

    def field(self):
        (self.layer,) = LAW.layer(self.state.step)
        nodes = self.state.nodes
        self.velocity = self.factory(self.layer, nodes, len(self.sphere.points) + len(nodes.points))
        self.degrees.append(self.velocity.degree)

    def synthesis(self):
        self.values = self.sphere.synthesis(self.state.coefficients).ravel()
        self.on_grid, self.at_nodes = self.velocity.on_grid(self.sphere), self.velocity(self.state.nodes.points)

    def move(self):
        moved = self.layer.retraction(self.sphere.points, self.on_grid)
        self.layer.retraction(self.state.nodes.points, self.at_nodes)
        self.cloud = Cloud(moved, self.sphere.weights * self.values)

    def adjoint(self):
        self.sphere.adjoint_at(self.cloud.weights, self.cloud.points)

    def push(self):
        self.synthesis()
        self.move()
        self.adjoint()

    def step(self):
        self.state = self.flow.advance(self.state, self.state.step + 1)

    def bare(self):
        """The transforms of a step on given numbers, and nothing else."""
        if self.bare_turn is None:
            nodes, moved = self.state.nodes.points, self.cloud.points
            self.bare_turn = bare_transforms(self.sphere, self.velocity.degree, nodes, moved)
        self.bare_turn()


def bare_transforms(sphere, degree, nodes, moved):
    """A function that does the transforms of a step on given numbers, and nothing else."""
    shape = {"lmax": sphere.lmax, "mmax": sphere.lmax}
    coefficients = sphere.analysis(np.ones((sphere.nlat, sphere.nphi)))
    field = np.zeros((1, (degree + 1) * (degree + 2) // 2), dtype=np.complex128)
    at_nodes, at_moved = angles(nodes), angles(moved)
    values, alm, out = np.ones((1, len(moved))), np.empty((1, len(coefficients)), complex), np.empty((1, len(nodes)))
    on_grid = sphere._transforms()

    def run():
        for _ in range(4):
            on_grid.synthesis(coefficients)
        for _ in range(3):
            ducc0.sht.synthesis_general(
                alm=field, map=out, spin=0, lmax=degree, mmax=degree, loc=at_nodes, epsilon=PRECISION, nthreads=1
            )
        ducc0.sht.adjoint_synthesis_general(
            map=values, alm=alm, spin=0, loc=at_moved, epsilon=PRECISION, nthreads=1, **shape
        )

    return run


def medians(functions, turns, warm=3):
    """Median seconds of processor time of functions called in turns; a function that returns a number timed itself."""
    spent = {name: [] for name in functions}

    def clocked(name, function):
        def call():
            start = time.process_time()
            own = function()
            spent[name].append(time.process_time() - start if own is None else own)

        return call

    in_turns({name: clocked(name, function) for name, function in functions.items()}, turns, warm)
    return {name: statistics.median(times[warm:]) for name, times in spent.items()}


def measure(lmax, turns, python):
    """Median seconds of the parts, of a step, of bare transforms and of Dedalus where it is there; degree of fields."""
    path = OnPath(lmax)
    functions = {part: getattr(path, part) for part in PARTS}
    dedalus = None if python is None else Dedalus(python, lmax)
    if dedalus is not None:
        functions[DEDALUS] = dedalus
    found = medians(functions, turns)
    if dedalus is not None:
        dedalus.close()
    return found, int(np.median(path.degrees))


def step_rows(lmax, found, degree):
    """Rows of one lmax."""
    milliseconds = {part: 1e3 * value for part, value in found.items()}
    rows = [
        Row(f"lmax {lmax}: {part}" + (f", degree {degree}" if part == "field" else ""), milliseconds[part], "ms",
            "whole step", found[part] / found["step"])
        for part in ("field", "synthesis", "move", "adjoint")
    ]  # fmt: skip
    rows.append(
        Row(f"lmax {lmax}: push forward without the field", milliseconds["push"], "ms", "bare transforms",
            found["push"] / found["bare"])
    )  # fmt: skip
    if DEDALUS not in found:
        return [*rows, Row(f"lmax {lmax}: whole nonlinear step", milliseconds["step"], "ms")]
    aimed = lmax in (63, 127)
    for what, part, most in (("push forward without the field", "push", 0.5), ("whole nonlinear step", "step", 1.0)):
        ratio = found[part] / found[DEDALUS]
        target, met = (f"at most {most:g}", ratio <= most) if aimed else ("", None)
        rows.append(Row(f"lmax {lmax}: {what}", milliseconds[part], "ms", DEDALUS, ratio, target, met))
    return rows


def growth_rows(found):
    """Exponents of the cost against lmax, by least squares and from the last doubling."""
    lmax = np.array(sorted(found))
    rows = []
    for what, part in (("push forward without the field", "push"), ("whole nonlinear step", "step")):
        seconds = np.array([found[size][part] for size in lmax])
        slope = float(np.polyfit(np.log(lmax), np.log(seconds), 1)[0])
        last = float(np.log(seconds[-1] / seconds[-2]) / np.log(lmax[-1] / lmax[-2]))
        span = f"lmax {lmax[0]} to {lmax[-1]}"
        rows.append(Row(f"growth of the {what}, {span}", slope, "power of lmax", "", None, "at most 2.3", slope <= 2.3))
        rows.append(Row(f"the same, lmax {lmax[-2]} to {lmax[-1]}", last, "power of lmax"))
    return rows


def head_rows(turns):
    """Cost of a head against beta |A|, in fields of eight heads of one strength, beside direct sums."""
    path, rng = OnPath(63), np.random.default_rng(0)
    nodes, targets = path.state.nodes, path.sphere.points
    functions, degrees = {}, {}

    def case(strength):
        forms = rng.standard_normal((HEADS, 3, 3))
        forms *= strength / np.linalg.norm(forms, 2, axis=(1, 2))[:, None, None]
        same = np.broadcast_to(np.eye(3), forms.shape)
        push = AttentionPush(Softmax(1.0), same, forms, same)

        def field():
            made = path.factory(push, nodes, len(targets) + len(nodes.points))
            degrees[strength] = made.degrees

        def direct():
            DirectField(push, nodes)(targets)

        return field, direct

    for strength in STRENGTHS:
        functions[strength], direct = case(strength)
    functions["direct"] = direct
    found = medians(functions, turns, warm=1)
    return [
        Row(f"one head of beta|A| = {strength:g}, degrees {degrees[strength].min()} to {degrees[strength].max()}",
            1e3 * found[strength] / HEADS, "ms", "direct sums on the grid", found[strength] / found["direct"])
        for strength in STRENGTHS
    ]  # fmt: skip


def run(quick):
    """Rows for each lmax, growth, and cost of a head."""
    python, notes = peer_python("dedalus", "DEDALUS_PYTHON"), []
    if python is None:
        notes.append("Dedalus 3 is not installed (DEDALUS_PYTHON may name a Python that has it): no ratios to it")
    else:
        try:
            probe = Dedalus(python, 31)
            notes.append(f"Dedalus {probe.version}, linear transport and diffusion, one core")
            probe.close()
        except (OSError, RuntimeError) as error:
            notes.append(f"Dedalus 3 does not run with {Path(python).name} ({error}): no ratios to it")
            python = None
    sizes = {lmax: turns for lmax, turns in SIZES.items() if not quick or lmax < 255}
    notes.append(f"backend {Sphere(31).backend}; {HEADS} heads, beta 2, field_tol 1e-6")
    found, rows = {}, []
    for lmax, turns in sizes.items():
        found[lmax], degree = measure(lmax, turns if quick else 2 * turns + 1, python)
        rows += step_rows(lmax, found[lmax], degree)
    rows += growth_rows(found)
    rows += head_rows(5 if quick else 15)
    return Result("step", rows, notes)


if __name__ == "__main__":
    main(run)
