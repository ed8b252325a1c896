"""Writes tests/data/spread.json, the moments of the first cases of spread_cases: python tests/spread_references.py.

Where a dense product rule converges, the reference is its direct sums.  Where a flow tears the sphere none of a
size that can be summed does: there it is a run of the package with more nodes; what it says of its own error stands
beside it.
"""

import json
import sys
import warnings
from pathlib import Path
from unittest import mock

import numpy as np
import spread_cases

from particles import RecordedLayers, Softmax, VonMisesFisherMixture
from spde import Density, Sphere, solve

STORED = Path(__file__).parent / "data" / "spread.json"
EVERY = 5  # layers from one record to the next
LATITUDES = 30  # of a product rule at most
SHARP = 2e-7, 300_000  # moment_tol and number of nodes at most of a run that judges default ones
STORED_TOL = 1e-6, 100_000  # of the stored ones (case 2: SHARP), which judge runs for moment_tol = 1e-4


def carried(one, lmax=63, **options):
    """A run of the package for a case, and its moments (records, 9)."""
    law = RecordedLayers.from_query_key(one.mixing, one.forms, Softmax(one.beta))
    density = Density.from_law(VonMisesFisherMixture(one.weights, one.means, one.kappas), Sphere(lmax))
    run = solve(density, law, n_steps=spread_cases.N_LAYERS, save_every=EVERY, **options)
    rows, columns = np.triu_indices(3)
    return run, np.concatenate([run.mean_token.values, run.second_moment.values[:, rows, columns]], axis=1)


def reference(seed, moment_tol, most):
    """Moments (records, 9) of a case, and how far they may be off."""
    one = spread_cases.case(seed)
    found, gap = spread_cases.converged(one, most=LATITUDES)
    if found is not None:
        return found[::EVERY], gap
    with warnings.catch_warnings(), mock.patch("spde.carried.MOST_IN_PANELS", most):
        warnings.simplefilter("ignore")
        run, moments = carried(one, lmax=15, moment_tol=moment_tol)
    return moments, float(run.moment_error.values.max())


def stored():
    """By case: moments and how far they may be off."""
    known = json.loads(STORED.read_text())
    return {int(seed): (np.array(one["moments"]), one["gap"]) for seed, one in known.items()}


if __name__ == "__main__":
    known = json.loads(STORED.read_text()) if STORED.exists() else {}
    for seed in map(int, sys.argv[1:] or range(10)):
        moments, gap = reference(seed, *STORED_TOL)
        known[str(seed)] = {"gap": float(f"{gap:.1e}"), "moments": np.round(moments, 9).tolist()}
        print(seed, known[str(seed)]["gap"], flush=True)
        lines = ",\n".join(f"{json.dumps(key)}: {json.dumps(known[key])}" for key in sorted(known, key=int))
        STORED.write_text("{\n" + lines + "\n}\n")
