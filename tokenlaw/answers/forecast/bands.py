"""Bands that hold 90 percent of all networks, from few of them.

Percentiles of R networks are too narrow: with 16 the 5th and the 95th hold 80 percent.  On a scale on which networks
are normal the next one lies, with probability 0.9, in mean +- t s (1 + 1/R)^1/2, t of Student's law of R - 1 degrees.
That scale is log(1 - overlap); measured in docs/measure_bands.py.
"""

import math

import numpy as np
import scipy

from particles import Array
from tokenlaw.answers.forecast.found import Curve

SHARE = 0.9
LEAST = 1e-300  # of 1 - overlap: tokens that are equal


def prediction(values: Array) -> tuple[Array, Array]:
    """Ends of the interval of the next one of normal values (R, ...), R >= 2, along their first axis."""
    count = len(values)
    quantile = scipy.special.stdtrit(count - 1, (1 + SHARE) / 2)
    middle, reach = values.mean(axis=0), quantile * math.sqrt(1 + 1 / count) * values.std(axis=0, ddof=1)
    return middle - reach, middle + reach


def of_overlap(gap: Array) -> Curve:
    """Mean and band of the overlap, from 1 - overlap of networks (R, L + 1)."""
    low, high = prediction(np.log(np.maximum(gap, LEAST)))
    return Curve(1 - gap.mean(axis=0), 1 - np.exp(high), 1 - np.exp(low))


def of_positive(values: Array) -> Curve:
    """Mean and band of what is positive, (R, L + 1), on the scale of its logarithm."""
    low, high = prediction(np.log(values))
    return Curve(values.mean(axis=0), np.exp(low), np.exp(high))
