"""Whether two sets of networks have the same law: means by z-scores, distributions by Kolmogorov and Smirnov."""

import numpy as np
from scipy.stats import ks_2samp

DISTRIBUTIONS = ("overlap", "radius", "log_gradient", "cosine_quantile 0.05")  # at the last layer
DIGITS = 1e-7  # relative difference of numbers that do not vary which passes as rounding


def scores(one, two):
    """{(statistic, layer): z-score of the difference of means, variances not held equal}, of two runs."""
    assert one.keys() == two.keys()
    found = {}
    for key in one:
        a, b = one[key], two[key]
        error = np.sqrt(a.var(ddof=1) / len(a) + b.var(ddof=1) / len(b))
        found[key] = (a.mean() - b.mean()) / max(error, DIGITS * abs(a.mean()), 1e-12)
    return found


def largest(one, two):
    """(|z|, (statistic, layer)) where it is largest."""
    return max((abs(z), key) for key, z in scores(one, two).items())


def chances(one, two):
    """{(statistic, layer): p} of the two-sample test of Kolmogorov and Smirnov."""
    last = max(layer for _, layer in one)
    keys = [(name, last - (name == "log_gradient")) for name in DISTRIBUTIONS]
    return {key: ks_2samp(one[key], two[key]).pvalue for key in keys if key in one and one[key].std() > DIGITS}


def assert_agree(one, two, z=4.0, p=1e-4):
    """Both tests, with the worst numbers where one fails."""
    worst = sorted(((abs(value), key) for key, value in scores(one, two).items()), reverse=True)[:6]
    assert worst[0][0] < z, worst
    found = chances(one, two)
    assert min(found.values(), default=1.0) > p, found
