"""Orders of convergence on synthetic ladders of known order: coverage of intervals, no reference taken for exact."""

import numpy as np
import pytest

from validation.estimates import common_part, order_of_distances, order_of_gaps, order_of_shifts, slope


def neighbours(errors):
    """Gaps of errors (R, d, K)."""
    return [(errors[..., k] - errors[..., k + 1])[:, None] for k in range(errors.shape[-1] - 1)]


def martingale(rng, members, d, variances):
    """Errors (R, d, K) of falling variances, each the next one's plus something new."""
    new = np.sqrt(-np.diff(variances, append=0.0)) * rng.standard_normal((members, d, len(variances)))
    return np.cumsum(new[..., ::-1], axis=-1)[..., ::-1]


def values(rng, n_rungs):
    """Powers of two; for every other problem the last one lies a factor 8 from the one before."""
    found = 2.0 ** -np.arange(n_rungs)
    found[-1] /= rng.choice([1, 4])
    return found


def strong_half(rng, members, bend):
    v = values(rng, rng.integers(4, 8))
    e = martingale(rng, members, rng.choice([1, 3]), v) * np.exp(0.3 * rng.standard_normal((members, 1, 1)))
    return v, e + bend * rng.standard_normal((members, 1, 1)) * v, 0.5


def strong_one(rng, members, bend):
    v = values(rng, rng.integers(4, 8))
    e = rng.standard_normal((members, rng.choice([1, 3]), 1)) * (v + bend * v**2)
    return v, e * (1 + 0.05 * rng.standard_normal((members, 1, len(v)))), 1.0


def weak_one(rng, members, bend):
    v = values(rng, rng.integers(4, 8))
    size = rng.choice([0.03, 0.1, 0.3])
    shared, own = rng.standard_normal((members, 1)) * np.sqrt(v), 0.3 * rng.standard_normal((members, len(v)))
    return v, (v + bend * v**2 + size * (shared + own))[:, None], 1.0


def nested_samples(rng, members, bend):
    n = 16 / values(rng, rng.integers(4, 8))
    e = martingale(rng, members, rng.choice([1, 3]), 1 / n) * np.exp(0.3 * rng.standard_normal((members, 1, 1)))
    return n, e + bend * 4 / n, -0.5


def sampling(rng, members, bend):
    n = 16 / values(rng, rng.integers(4, 8))
    noise = 0.3 * rng.standard_normal((members, 1)) + 0.2 * rng.standard_normal((members, len(n)))
    return n, (n**-0.5 * (1 + bend * 16 / n) * np.exp(noise))[:, None], -0.5


def found_order(problem, v, errors):
    if problem is weak_one:
        return order_of_shifts(v, -np.diff(errors[:, 0], axis=1))
    return order_of_distances(v, errors[:, 0]) if problem is sampling else order_of_gaps(v, neighbours(errors))


def to_the_last(problem, v, errors):
    """Weighted fit of the gaps to the last value, taken for exact."""
    gaps = errors if problem is sampling else errors[..., :-1] - errors[..., -1:]
    if problem is weak_one:
        mean, error = np.abs(gaps.mean(axis=(0, 1))), gaps.std(axis=(0, 1), ddof=1) / len(gaps) ** 0.5
        mean, error, x = mean[mean > 2 * error], error[mean > 2 * error], v[:-1][mean > 2 * error]
        return slope(x, mean, error) if len(x) > 2 else None
    square = (gaps**2).sum(axis=1)
    rms = np.sqrt(square.mean(axis=0))
    return slope(v[: len(rms)], rms, square.std(axis=0, ddof=1) / len(gaps) ** 0.5 / (2 * rms))


def test_intervals_cover():
    """200 problems, 8 to 128 members with shared noise, a next term of up to 0.3 of the leading one."""
    rng, inside, bounded, biased, known = np.random.default_rng(2), [], [], [], 0
    for k in range(200):
        problem = (strong_half, strong_one, weak_one, nested_samples, sampling)[k % 5]
        v, errors, order = problem(rng, int(rng.choice([8, 32, 128])), rng.uniform(-0.3, 0.3))
        fit, old = found_order(problem, v, errors), to_the_last(problem, v, errors)
        if fit is not None:
            known += 1
            if problem is not weak_one and problem is not sampling:
                rms = np.sqrt((errors[..., -1] ** 2).sum(axis=1).mean())
                bounded.append(fit.left_low < rms < fit.left_high)
            inside.append(fit.low <= order <= fit.high)
        if old is not None:
            biased.append(old.low <= order <= old.high)
    assert known > 180
    assert 0.90 <= np.mean(inside) <= 0.98
    assert np.mean(bounded) > 0.95  # the error of the finest value, which nobody sees
    assert np.mean(biased) < 0.88  # with a finite reference, and intervals that are wider


@pytest.mark.parametrize("v", [[4.0, 2.0, 1.0], [8.0, 4.0, 2.0, 1.0], [0.2, 0.1, 0.05, 0.00625], [1.0, 0.7, 0.3]])
@pytest.mark.parametrize("p", [0.5, 1.0, 2.0, -0.5])
def test_exact_powers(v, p):
    """Gaps to the last of 8, 4, 2, 1 read order 1 as 1.40; those of three values have no slope at all."""
    v = np.array(v)
    errors = np.random.default_rng(0).standard_normal((6, 2, 1)) * v**p
    fit = order_of_gaps(v, neighbours(errors))
    assert fit.value == pytest.approx(p, abs=1e-5)
    assert fit.low < p < fit.high
    rms = np.sqrt(np.mean((errors[..., 0] / v[0] ** p) ** 2) * 2)
    assert fit.prefactor == pytest.approx(rms, rel=1e-4)
    fit = order_of_shifts(v, -np.diff(3 * v**p + np.zeros((6, 1)), axis=1))
    assert fit.value == pytest.approx(p, abs=1e-5)
    assert fit.prefactor == pytest.approx(3, rel=1e-4)
    fit = order_of_distances(v, (3 * v**p)[None])  # one member
    assert fit.value == pytest.approx(p, abs=1e-5)
    assert fit.prefactor == pytest.approx(3, rel=1e-4)


def test_what_the_gaps_have_in_common():
    rng, v = np.random.default_rng(3), 0.5 ** np.arange(5)
    smooth = rng.standard_normal((400, 3, 1)) * v
    assert common_part(neighbours(smooth)) == pytest.approx(1, abs=1e-9)
    assert common_part(neighbours(martingale(rng, 400, 3, v))) < 0.05
    assert common_part(neighbours(smooth)[:1]) == 0
    # the ratio of the last two values matters where the errors are new on each rung, and is found then too
    v[-1] /= 8
    fit = order_of_gaps(v, neighbours(martingale(rng, 4000, 3, v)))
    assert abs(fit.value - 0.5) < 0.03
    assert fit.prefactor == pytest.approx(3**0.5, rel=0.1)
    assert fit.left == pytest.approx((3 * v[-1]) ** 0.5, rel=0.15)
    assert fit.left_low < (3 * v[-1]) ** 0.5 < fit.left_high
    # an interval that reaches order 0 does not bound what is left
    fit = order_of_gaps(v[:4], neighbours(martingale(rng, 4, 1, v[:4])))
    assert fit.low < 0
    assert fit.left_high == np.inf


def test_noise_has_no_order():
    rng, v = np.random.default_rng(4), 0.5 ** np.arange(5)
    found = [order_of_shifts(v, rng.standard_normal((12, 4))) for _ in range(30)]
    assert sum(fit is None for fit in found) >= 27
    # a clear order in the first two gaps, noise in the third: kept, and neither chosen nor left out by its size
    signal = -np.diff(v[:4]) + 0.02 * rng.standard_normal((50, 3))
    fit = order_of_shifts(v[:4], signal)
    assert fit.low < 1 < fit.high


def test_few_members_have_wide_intervals():
    rng, v = np.random.default_rng(5), 0.5 ** np.arange(4)
    errors = martingale(rng, 64, 1, v)
    wide, narrow = (order_of_gaps(v, neighbours(errors[:n])) for n in (2, 64))
    assert wide is None or wide.high - wide.low > 3 * (narrow.high - narrow.low)


@pytest.mark.parametrize(
    ("v", "samples", "text"),
    [
        ([1.0], [[1.0]], "at least 2 values"),
        ([1.0, 2.0], [[1.0]], "at least 2 values"),
        ([1.0, 3.0, 2.0], [[1.0, 1.0, 1.0]], "rise or fall"),
        ([1.0, -1.0], [[1.0, 1.0]], "positive"),
        ([1.0, 2.0], [[1.0, np.nan]], "finite"),
    ],
)
def test_refusals(v, samples, text):
    with pytest.raises(ValueError, match=text):
        order_of_distances(v, samples)
