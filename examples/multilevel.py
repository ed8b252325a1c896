"""An expectation to three digits, many times cheaper: multilevel Monte Carlo over the step in depth.

Mean overlap E |mean token|^2 of 32 tokens at depth time 2, in layers with a mean value matrix and weak noise.  The
error of a step dt is of first order, so 1e-3 takes more than 200 steps; almost all samples are drawn with 4.

    python examples/multilevel.py [ERROR ...] [--out F.png]        default: 1e-2 5e-3 2e-3 1e-3, some minutes
"""

import sys

import numpy as np

from particles import GaussianHeads, Homogenized, Noise, Softmax, VonMisesFisherMixture
from particles.measure import mean_token
from validation.estimates import Measured, TokenLevels, figure, multilevel

HEADS = GaussianHeads(3, 3**-0.5, 3**-0.5, 3, mean_v=np.eye(3), mean_a=np.zeros((3, 3)))
LAYERS = Homogenized(HEADS, Softmax(2.0), dt=0.5, nodes=4, noise=Noise(seed=7), noise_scale=0.05, fixed=True)
START = VonMisesFisherMixture([1.0], [[0.0, 0.0, 1.0]], [1.0])


def overlap(cloud):
    """Squared length of the mean token."""
    mean = mean_token(cloud)
    return float(mean @ mean)


LEVELS = TokenLevels(LAYERS, START, overlap, t_end=2.0, tokens=32)


def run(errors, ladder=LEVELS):
    """One expectation for each error, the largest first."""
    return [multilevel(ladder, error) for error in sorted(errors, reverse=True)]


def main():
    words = [word for word in sys.argv[1:] if word != "--out"]
    out = words.pop() if "--out" in sys.argv[1:-1] else None
    found = run([float(word) for word in words] or [1e-2, 5e-3, 2e-3, 1e-3], Measured(LEVELS))
    print("level  steps   samples   mean of difference     variance     ms a sample")
    for level, one in enumerate(found[-1].levels):
        error = np.sqrt(one.variance / one.samples)
        print(f"{level:5d} {LEVELS.size(level)[0]:6d} {one.samples:9d}   {one.mean:9.5f} +- {error:.5f}"
              f"   {one.variance:10.2e}   {1e3 * one.cost:13.2f}")  # fmt: skip
    print("\nerror asked for    mean overlap     bias, about    core seconds   plain Monte Carlo    ratio")
    for one in found:
        print(f"{one.target:15g}   {one.value:.5f} +- {one.error:.5f}   {one.bias:8.5f}   {one.cost:11.1f}"
              f"   {one.plain_cost:17.1f}   {one.plain_cost / one.cost:6.1f}")  # fmt: skip
    if out is not None:
        from tokenlaw.pictures import paper as plots
        from tokenlaw.pictures.studies import draw

        plots.save(draw(figure(found, "core seconds"), "Mean overlap of 32 tokens at depth time 2"), out)


if __name__ == "__main__":
    main()
