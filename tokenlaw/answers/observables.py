"""What `tokenlaw converge` can look at; light to import, because the help of the command line lists it."""

from typing import NamedTuple


class Observable(NamedTuple):
    """An observable at the last depth.

    Attributes
    ----------
    text : one line.   command : whose run it is taken from.   variable : its name in the records of that run.
    vanishes : beginnings of the keys in which it goes to zero itself; in others it has a limit.
    """

    text: str
    command: str
    variable: str
    vanishes: tuple[str, ...] = ()


NESTED = "simulate.tokens"  # the key in which larger samples hold the smaller ones
SERIES = ("solve.",)
GAPS = {"distance": "value", "gap": "gap to the next", "shift": "gap to the next"}
"""What the gaps of a study of convergence are, by its kind."""
OBSERVABLES = {
    "mean_overlap": Observable("squared length of the mean token", "simulate", "mean_overlap"),
    "mean_token": Observable("mean token, a vector", "simulate", "mean_token"),
    "nested_rms": Observable(
        "any d: distance of the same tokens between systems, n tokens being the first of N", "simulate", "tokens"
    ),
    "coefficients": Observable("coefficients of the density, d = 2, 3", "solve", "coefficients"),
    "moment_defect": Observable("moments of the grid against the carried nodes", "solve", "moment_defect", SERIES),
    "spectral_tail": Observable("share of the top degrees of the density", "solve", "spectral_tail", SERIES),
    "coupled_rms": Observable(
        "d = 2, 3: distance of the tokens to their twins in the density", "compare", "coupled_rms", (NESTED,)
    ),
    "w2_chordal": Observable(
        "W2 between tokens and a sample of the density, beside its floor", "compare", "w2_chordal", (NESTED,)
    ),
    "w1_geodesic": Observable("W1 between tokens and a sample of the density", "compare", "w1_geodesic", (NESTED,)),
}
