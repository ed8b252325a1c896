"""Prints the numbers in docs/numerics.md: errors and degrees, no times.  python docs/measure.py [PART ...]"""

import math
import sys
import warnings
from dataclasses import replace

import numpy as np

from particles import (
    AttentionPush,
    Cloud,
    Conformal,
    DirectField,
    GaussianHeads,
    Homogenized,
    Linear,
    Noise,
    RecordedLayers,
    Softmax,
    Tokens,
    VonMisesFisherMixture,
    flow,
    simulate,
)
from particles.harmonics import gauss_grid, low_moments
from spde import Density, DensityFlow, DensityState, SpectralField, Sphere, solve, spectral_field
from spde.field.deposits import SourceChoice
from spde.field.heads import head_of
from spde.resolution import Resolution

QUICKSTART = VonMisesFisherMixture([1.0, 0.5], [[0, 0, 1], [1, 0, 0]], [2.0, 3.0])
HEADS = GaussianHeads(3, 3**-0.5, 3**-0.5, 3)


def layers(dt=0.02, nodes=16, seed=7, **options):
    """The layers of examples/quickstart.toml."""
    return Homogenized(HEADS, Softmax(2.0), dt, nodes, Noise(seed), **options)


def ride(start, law, n_steps, passive=None, **options):
    """Final density of a run and its passive points, without records in between."""
    flow_ = DensityFlow(start.sphere, law, **options)
    riders = np.zeros((0, 3)) if passive is None else passive
    state = flow_.advance(DensityState(0, start.coefficients, start.nodes, riders), n_steps)
    return flow_, flow_.density(state), state.passive


def moments(measure):
    """Mean and second moment as one vector."""
    w, x = measure.weights, measure.points
    return np.concatenate([w @ x, ((x * w[:, None]).T @ x).ravel()])


def carried():
    """moment_defect and error of the moments against carried nodes that are fine, after 50 steps."""
    _, reference, _ = ride(Density.from_law(QUICKSTART, Sphere(127), (96, 192)), layers(), 50)
    want = moments(reference.nodes)
    for lmax, grid in [(63, (16, 32)), (63, (24, 48)), (63, (32, 64)), (63, (48, 96)), (31, (48, 96)), (127, (48, 96))]:
        _, density, _ = ride(Density.from_law(QUICKSTART, Sphere(lmax), grid), layers(), 50)
        error = np.abs(moments(density.nodes) - want).max()
        print(f"  lmax {lmax:3d} nodes {grid}: moment_defect {density.moment_defect:.1e}  moment error {error:.1e}")


def resolution():
    """Pointwise error against lmax 255 after 25 and 50 steps, beside what the run says of itself."""
    for n_steps in (25, 50, 100):
        points = Sphere(63).points
        _, reference, _ = ride(Density.from_law(QUICKSTART, Sphere(255), (48, 96)), layers(), n_steps)
        want = reference(points)
        for lmax in (7, 15, 23, 31, 47, 63):
            start = Density.from_law(QUICKSTART, Sphere(lmax), (48, 96))
            flow_ = DensityFlow(start.sphere, layers())
            state = flow_.advance(flow_.start(start), n_steps)
            density = flow_.density(state)
            error = np.abs(density.at(points) - want).max() / want.max()
            print(
                f"  {n_steps} steps, lmax {lmax:2d}: error/max {error:.1e}  tail {density.spectral_tail:.1e}  min/max "
                f"{density.minimum / density.maximum:+.1e}  defect {density.moment_defect:.1e}  "
                f"unresolved {int(Resolution.of(density, state).lost)}"
            )


def mass():
    """Mass over 500 steps."""
    start = Density.from_law(QUICKSTART, Sphere(31))
    run = solve(start, layers(), n_steps=500, save_every=50)
    print(f"  500 steps, lmax 31: |mass - 1| <= {np.abs(run.mass.values - 1).max():.1e}")


def backends():
    """shtns against ducc0 over 50 steps."""
    found = [ride(Density.from_law(QUICKSTART, Sphere(63, b)), layers(), 50)[1] for b in ("shtns", "ducc0")]
    difference = np.abs(found[0].coefficients - found[1].coefficients).max()
    print(f"  50 steps, lmax 63: coefficients differ by {difference:.1e}")


def measures():
    """A spread and a collapsed measure, as in tests/spde/field/test_sphere.py."""
    points, area = gauss_grid(24, 48)
    spread = area * QUICKSTART.pdf(points)
    fine, fine_area = gauss_grid(96, 192)
    tight = fine_area * VonMisesFisherMixture([1.0], [[0.3, -0.2, 1]], [310.0]).pdf(fine)
    return {"spread": Cloud(points, spread / spread.sum()), "collapsed": Cloud(fine, tight / tight.sum())}


def degrees():
    """Degree, source points and error of one head of strength beta |A|, the median over eight random A."""
    targets = np.random.default_rng(0).standard_normal((1500, 3))
    targets /= np.linalg.norm(targets, axis=1)[:, None]
    for name, measure in measures().items():
        for strength in (0.5, 1.0, 2.0, 5.0, 10.0, 20.0):
            rng, found = np.random.default_rng(int(10 * strength)), []
            for _ in range(8):
                form = rng.standard_normal((3, 3)) @ rng.standard_normal((3, 3))
                form *= strength / np.linalg.norm(form, 2)
                push = AttentionPush(Softmax(1.0), np.eye(3)[None], form[None], np.eye(3)[None])
                field = SpectralField(push, measure, 20_000)
                error = np.abs(field(targets) - DirectField(push, measure)(targets)).max()
                found.append((field.degree, error))
            head = head_of(form, np.linalg.svd(form)[2], strength, np.eye(3), SourceChoice(measure, 0.25e-6), 0.25e-6)
            sources, signed = head.choice.sources(head.deposit), " in antipodal pairs" if head.deposit else ""
            all_degrees, errors = np.array(found).T
            print(
                f"  {name} {strength:4.1f}: degree {np.median(all_degrees):.0f} ({all_degrees.min():.0f} ... "
                f"{all_degrees.max():.0f})  sources {len(sources.weights)}{signed} of {len(measure.weights)}  "
                f"error {errors.max():.1e}"
            )


def heads():
    """Quantiles of beta |A| and of the degree over 800 Gaussian heads of the quickstart."""
    drawn = HEADS.sample(np.random.default_rng(1), 800)
    forms = np.swapaxes(drawn.key, 1, 2) @ drawn.query
    strength = 2.0 * np.linalg.norm(forms, 2, axis=(1, 2))
    push = AttentionPush(Softmax(2.0), drawn.value, drawn.query, drawn.key)
    field = SpectralField(push, measures()["spread"], 20_000)
    for name, values in (("beta |A|", strength), ("degree", field.degrees)):
        print(f"  {name}: quantiles 50/90/99/100 % {np.quantile(values, [0.5, 0.9, 0.99, 1.0]).round(1).tolist()}")
    print(f"  summed directly: {int((field.degrees == 0).sum())} of 800")


def tolerance():
    """Error of the moments through field_tol over 50 steps."""
    start = Density.from_law(QUICKSTART, Sphere(63))
    _, reference, _ = ride(start, layers(), 50, remap_every=0, field=spectral_field(1e-11))
    want = moments(reference.nodes)
    for tol in (1e-2, 1e-3, 1e-4, 1e-6, 1e-8):
        _, density, _ = ride(start, layers(), 50, remap_every=0, field=spectral_field(tol))
        print(f"  field_tol {tol:.0e}: moments differ by {np.abs(moments(density.nodes) - want).max():.1e}")


def field_error():
    """What a run says its field has cost the moments, beside what it has, over 50 steps for three seeds."""
    start = Density.from_law(QUICKSTART, Sphere(63))
    for seed in (7, 8, 9):
        _, reference, _ = ride(start, layers(seed=seed), 50, remap_every=0, field=spectral_field(1e-11))
        for tol in (1e-1, 1e-2, 1e-3, 1e-4, 1e-6):
            flow_ = DensityFlow(start.sphere, layers(seed=seed), spectral_field(tol))
            state = flow_.advance(flow_.start(start), 50)
            error = np.abs(moments(state.nodes) - moments(reference.nodes)).max()
            print(f"  seed {seed}, field_tol {tol:.0e}: field_error {state.field_error.total:.1e}  error {error:.1e}")


def collapse():
    """One cluster, C = 0.05 I, 40 layers: carried nodes and coefficients against 64 x 128 dense nodes."""
    law, n_layers = VonMisesFisherMixture([1.0], [[0.2, 0.1, 1.0]], [20.0]), 40
    for strength in (5.0, 10.0, 20.0):
        rng = np.random.default_rng(3)
        forms = rng.standard_normal((n_layers, 1, 3, 3))
        forms *= strength / np.linalg.norm(forms, 2, axis=(2, 3))[..., None, None]
        recorded = RecordedLayers.from_query_key(np.tile(0.05 * np.eye(3), (n_layers, 1, 1, 1)), forms, Softmax(1.0))
        points, area = gauss_grid(64, 128)
        dense = simulate(Tokens(points, area * law.pdf(points)), recorded, n_steps=n_layers)
        start = Density.from_law(law, Sphere(31), (24, 48))
        fine = solve(Density.from_law(law, Sphere(127), (64, 128)), recorded, n_steps=n_layers)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            run = solve(start, recorded, n_steps=n_layers)
        for k in (0, 8, 16, 24, 32, 40):
            error = max(
                np.abs(run.mean_token.values[k] - dense.mean_token.values[k]).max(),
                np.abs(run.second_moment.values[k] - dense.second_moment.values[k]).max(),
            )
            pair = run.coefficients.values[k]
            order = np.lexsort((run.sh_degree.values, run.sh_order.values))
            mean, second = low_moments((pair[:, 0] + 1j * pair[:, 1])[order])
            low = max(
                np.abs(mean - dense.mean_token.values[k]).max(), np.abs(second - dense.second_moment.values[k]).max()
            )
            print(
                f"  {strength:4.1f} layer {k:2d} max {float(fine.density[k].max()):7.1f}: carried {error:.1e}  "
                f"coefficients {low:.1e}  tail {float(run['spectral_tail'][k]):.1e}  min/max "
                f"{float(run.min_density[k] / run.density[k].max()):+.0e}  defect {float(run.moment_defect[k]):.1e}  "
                f"unresolved {int(run.unresolved[k])}"
            )


def exact():
    """E1 with the exact flow; with normalize, 64 paths against a path 16 times finer; E2 at a large step."""
    a, sphere, steps_ = np.array([0.2, -0.1, 0.3]), Sphere(31), [1 / 64, 1 / 32, 1 / 16, 1 / 8, 1 / 4]
    start = Density.from_law(Conformal(a), sphere)
    law = layers(0.05, 4, retraction=flow)
    found = ride(start, replace(law, kernel=Softmax(0.0)), 20)[1].grid_values.ravel()
    want = Conformal(conformal_path(a, law, 20)).pdf(sphere.points)
    print(f"  E1 flow, 20 steps: error {np.abs(found - want).max():.1e}")
    square = np.zeros(5)
    for seed in range(64):
        fine = replace(layers(1 / 1024, 4, seed, fixed=True), kernel=Softmax(0.0))
        want = Conformal(conformal_path(a, fine, 512)).pdf(sphere.points)
        for k, dt in enumerate(steps_):
            _, density, _ = ride(start, fine.coarsen(round(1024 * dt)), round(0.5 / dt))
            square[k] += sphere.weights @ (density.grid_values.ravel() - want) ** 2
    errors = np.sqrt(square / 64)
    slope = np.polyfit(np.log(steps_), np.log(errors), 1)[0]
    print(f"  E1 normalize, dt = 1/64 ... 1/4: {[f'{e:.1e}' for e in errors]}, slope {slope:.2f}")
    law = layers(0.1, 4)
    start = Density.from_law(VonMisesFisherMixture([1.0], [[0, 0, 1.0]], [0.0]), Sphere(63))
    flow_ = DensityFlow(start.sphere, replace(law, kernel=Linear(1.0)))
    state, g = DensityState(0, start.coefficients, start.nodes, np.zeros((0, 3))), np.eye(3)
    for step in range(30):
        (push,) = law.layer(step)
        sigma = (state.nodes.points * state.nodes.weights[:, None]).T @ state.nodes.points
        g = g + np.einsum("mij,jk,mhk,mhl->il", push.mixing, sigma, push.key, push.query) @ g
        state = flow_.advance(state, step + 1)
    x, density = start.sphere.points, flow_.density(state)
    want = np.einsum("ij,jk,ik->i", x, np.linalg.inv(g @ g.T), x) ** -1.5 / (4 * math.pi * abs(np.linalg.det(g)))
    error = np.abs(density.grid_values.ravel() - want).max()
    tail = density.spectral_tail
    print(f"  E2, 30 steps of 0.1: max/min {want.max() / want.min():.1f}, tail {tail:.1e}, error {error:.1e}")


def conformal_path(a, law, n_steps):
    """Parameter of the exact solution along the path of a law (docs/theory.md, E1)."""
    for step in range(n_steps):
        (push,) = law.layer(step)
        r = float(np.linalg.norm(a))
        mean = (1 + r**2) / (2 * r) - (1 - r**2) ** 2 / (4 * r**2) * math.log((1 + r) / (1 - r))
        h = push.mixing.sum(axis=0) @ (mean * a / r)
        strength = np.linalg.norm(h)
        b = math.tanh(strength / 2) * h / strength
        a = ((1 + 2 * a @ b + a @ a) * b + (1 - b @ b) * a) / (1 + 2 * a @ b + (a @ a) * (b @ b))
    return a


def steps():
    """Strong order in dt with fixed nodes: passive points of coarse paths against the finest."""
    fine, start = 2.0**-9, Density.from_law(QUICKSTART, Sphere(15))
    points = QUICKSTART.sample(np.random.default_rng(0), 64)
    sums = np.zeros(5)
    for seed in range(24):
        path = layers(fine, 8, seed, fixed=True)
        ends = [ride(start, path.coarsen(2**k), 2 ** (8 - k), points, remap_every=0)[2] for k in (0, 2, 3, 4, 5, 6)]
        sums += [np.mean(np.sum((end - ends[0]) ** 2, axis=1)) for end in ends[1:]]
    errors = np.sqrt(sums / 24)
    print(f"  depth 0.5, dt = 1/128 ... 1/8 against 1/512: {[f'{e:.1e}' for e in errors]}")
    print(f"  slope {np.polyfit(np.log(2.0) * np.arange(5), np.log(errors), 1)[0]:.2f}")


def tokens():
    """coupled_rms against the number of tokens, 8 seeds, depth 0.5."""
    sizes, result = (64, 128, 256, 512, 1024, 2048, 4096), []
    start = Density.from_law(QUICKSTART, Sphere(15))
    for n in sizes:
        square = []
        for seed in range(8):
            cloud = Tokens(QUICKSTART.sample(np.random.default_rng([n, seed]), n))
            law = layers(seed=seed)
            _, _, twins = ride(start, law, 25, cloud.points, remap_every=0)
            field = SpectralField if n >= 512 else DirectField
            run = simulate(cloud, law, n_steps=25, save_every=25, field=field)
            square.append(np.mean(np.sum((run.tokens.values[-1] - twins) ** 2, axis=1)))
        result.append(math.sqrt(np.mean(square)))
    print(f"  n = {sizes}: {[f'{e:.1e}' for e in result]}, slope {np.polyfit(np.log(sizes), np.log(result), 1)[0]:.2f}")


PARTS = {f.__name__: f for f in
         (carried, resolution, mass, backends, degrees, heads, tolerance, field_error, collapse, exact, steps,
          tokens)}  # fmt: skip

if __name__ == "__main__":
    for name in sys.argv[1:] or PARTS:
        print(f"{name}: {PARTS[name].__doc__}", flush=True)
        PARTS[name]()
