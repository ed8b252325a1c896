"""D2, the modified equation: its error for chains of fixed heads (alpha = 0), where eta max(eta, alpha) = eta^2.

Slopes in eta of the largest distance over tokens and times, at grid times with all of mathematics (3) and with
-(eta/2) nabla_b b alone, as reported; and over all times, where a chain that is constant between its layers lags.
"""

import numpy as np

from particles import FixedHeads, Modified, Noise, RandomTransformer, Softmax, Tokens
from particles.arrays import Array, unit
from particles.retraction import Retraction, geodesic, normalize
from particles.simulate import simulate
from validation.statistics import slope
from validation.studies.d4 import fixed_heads
from validation.verdict import Figure, Findings, Part, Series

START = unit(np.random.default_rng(5).standard_normal((5, 3)))
ETA: Array = np.array([2.0**-k for k in range(4, 8)])


def course(law: RandomTransformer | Modified, steps: int) -> Array:
    """Tokens after 0, 1, ..., `steps` layers (steps + 1, n, d)."""
    found: Array = simulate(Tokens(START), law, Softmax(1.5), n_steps=steps, save_every=1).tokens.values
    return found


def errors(heads: FixedHeads, eta: float, corrector: Retraction) -> tuple[float, float]:
    """Largest distance of the chain to the modified flow at grid times, and at all times just before a layer.

    corrector : `normalize` for all of (3), `geodesic` for -(eta/2) nabla_b b alone.
    """
    layers = round(1 / eta)
    chain = course(RandomTransformer(heads, eta, len(heads.value), Noise(0)), layers)
    law = Modified(heads, eta, eta, 0.0, 1, Noise(0), retraction=corrector)
    flow = course(law, layers)
    at_grid = np.linalg.norm(chain - flow, axis=2).max()
    before = np.linalg.norm(chain[:-1] - flow[1:], axis=2).max()  # the chain's value holds until the next layer
    return float(at_grid), float(max(at_grid, before))


def study(quick: bool, seed: int) -> Findings:
    """Slopes; nothing here is random, so quick, full and all seeds are alike."""
    wanted = {
        "grid": ("at grid times, all of (3)", normalize, 0, None),
        "short": ("at grid times, -(eta/2) nabla_b b alone", geodesic, 0, 1.0),
        "between": ("at all times, chain constant between layers, all of (3)", normalize, 1, 1.0),
    }
    parts: dict[str, Part] = {}
    series: list[Series] = []
    table: dict[str, Array] = {"eta": ETA}
    for n_heads in (1, 4):
        heads = fixed_heads(n_heads)
        for name, (text, corrector, which, corrected) in wanted.items():
            gaps = np.array([errors(heads, eta, corrector)[which] for eta in ETA])
            fit = slope(ETA, gaps)
            parts[f"{name}_H{n_heads}"] = Part(
                f"slope in eta of the error {text}, {n_heads} fixed heads", fit.value, fit.error, 2.0, corrected,
                bias=0.15, effect=0.5 if corrected is None else None,  # bias: the next order
            )  # fmt: skip
            series.append(Series(f"{text}, {n_heads} heads", ETA, gaps))
            table[f"{name}_H{n_heads}"] = gaps
    for power in (1, 2):
        series.append(Series(f"slope {power}", ETA, series[0].y[-1] * (ETA / ETA[-1]) ** power, dashed=True))
    figure = Figure("residual step eta", "largest distance to the modified flow", tuple(series), x_log=True, y_log=True)
    return Findings(parts, figure, table)
