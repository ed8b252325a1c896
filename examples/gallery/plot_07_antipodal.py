"""
Which pairs of tokens end opposite each other?
==============================================

Two tokens under heads with A = I and random values either meet or end as antipodes. The probability is a
ratio of two integrals of the scale function; above a critical β, where cosh 2β = d − 2, antipodes attract.
``tokenlaw theory values-only`` gives the same numbers.
"""

import matplotlib.pyplot as plt
import numpy as np

from particles.reduced import ValuesOnly

betas = np.linspace(0, 4, 33)
figure, axes = plt.subplots(figsize=(6.5, 4), layout="constrained")
for d, colour, marker in ((3, "#0072B2", "o"), (8, "#D55E00", "s"), (32, "#009E73", "^"), (128, "#CC79A7", "D")):
    laws = [ValuesOnly(d, beta) for beta in betas]
    axes.plot(
        betas,
        [law.antipodal_probability(0.0) for law in laws],
        color=colour,
        marker=marker,
        markersize=3,
        label=f"d = {d}",
    )
    if laws[0].critical_beta > 0:
        axes.axvline(laws[0].critical_beta, color=colour, linewidth=0.8, linestyle=":")
axes.set(xlabel="inverse temperature β", ylabel="probability to end opposite, from R = 0", ylim=(0, None))
axes.legend(frameon=False, title="dotted: critical β")
