"""Time of one density step, split into its parts, beside the bare transforms of the same run.

    OMP_NUM_THREADS=1 python benchmarks/step.py [--lmax 31 63 127 255] [--repeat 15]

field      coefficients of U from the carried nodes, all heads
synthesis  the density and the three components of U on the grid, U at the carried nodes
move       retraction of grid points and carried nodes, weights
adjoint    angles and adjoint non-uniform transform of the moved points
bare       the same transforms with everything given: four grid syntheses, three syntheses at the nodes, one adjoint
step       one whole step of the solver, as users run it

Every number is a median over repeats on consecutive layers of one path, which goes through the quickstart's start with
8 heads, beta 2 and field_tol 1e-6.
"""

import argparse
import statistics
import time

import ducc0
import numpy as np

from particles import Cloud, GaussianHeads, Homogenized, Noise, Softmax, VonMisesFisherMixture
from particles.harmonics import PRECISION, adjoint_at, angles
from spde import Density, DensityFlow, DensityState, Sphere, spectral_field

START = VonMisesFisherMixture([1.0, 0.5], [[0, 0, 1], [1, 0, 0]], [2.0, 3.0])
LAW = Homogenized(GaussianHeads(3, 3**-0.5, 3**-0.5, 3), dt=0.02, nodes=8, noise=Noise(7))
PARTS = ("field", "synthesis", "move", "adjoint", "bare", "step")


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


def measure(lmax, repeat):
    """Medians of the parts in seconds, and the degree of the fields."""
    sphere, attention = Sphere(lmax), Softmax(2.0)
    density = Density.from_law(START, sphere)
    factory = spectral_field(1e-6)
    flow = DensityFlow(sphere, LAW, attention, factory)
    state = DensityState(0, density.coefficients, density.nodes, np.zeros((0, 3)))
    times = {part: [] for part in PARTS}
    degrees = []
    for step in range(repeat + 2):
        (push,) = LAW.layer(step)
        marks = [time.perf_counter()]
        field = factory(attention, push, state.nodes, len(sphere.points) + len(state.nodes.points))
        marks.append(time.perf_counter())
        values = sphere.synthesis(state.coefficients).ravel()
        velocity, at_nodes = field.on_grid(sphere), field.at(state.nodes.points)
        marks.append(time.perf_counter())
        moved, _ = push.retraction(sphere.points, velocity), push.retraction(state.nodes.points, at_nodes)
        cloud = Cloud(moved, sphere.weights * values)
        marks.append(time.perf_counter())
        adjoint_at(cloud.weights, cloud.points, lmax)
        marks.append(time.perf_counter())
        run = bare_transforms(sphere, field.degree, state.nodes.points, moved)
        start = time.perf_counter()
        run()
        bare = time.perf_counter() - start
        start = time.perf_counter()
        state = flow.advance(state, step + 1)
        whole = time.perf_counter() - start
        if step >= 2:  # plans and caches are warm
            for part, value in zip(PARTS, (*np.diff(marks), bare, whole), strict=True):
                times[part].append(value)
            degrees.append(field.degree)
    return {part: statistics.median(found) for part, found in times.items()}, round(statistics.median(degrees))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lmax", type=int, nargs="+", default=[31, 63, 127, 255])
    parser.add_argument("--repeat", type=int, default=15, help="steps whose median is shown")
    given = parser.parse_args()
    print(f"backend {Sphere(31).backend}; 8 heads, beta 2, field_tol 1e-6; ms, medians of {given.repeat} steps")
    print("lmax  " + "".join(f"{part:>11s}" for part in PARTS) + "  degree  push/bare  field/bare")
    for lmax in given.lmax:
        found, degree = measure(lmax, given.repeat)
        push = (found["synthesis"] + found["move"] + found["adjoint"]) / found["bare"]
        row = "".join(f"{1e3 * found[part]:11.2f}" for part in PARTS)
        print(f"{lmax:4d}  {row}  {degree:6d}  {push:9.2f}  {found['field'] / found['bare']:10.2f}")


if __name__ == "__main__":
    main()
