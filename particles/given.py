"""Kernels and laws of heads that are given from outside: tried once on a few numbers, and what is wrong is named."""

from typing import Any

import numpy as np

from particles.arrays import Array, as_array, check_not_negative, unit
from particles.errors import ArgumentError
from particles.heads import FixedHeads, Heads
from particles.measure import Cloud

POINTS, SOURCES = 5, 4  # of a trial: no two of its lengths are equal


def _ours(value: object) -> bool:
    return type(value).__module__.partition(".")[0] == "particles"


def must_average(kernel: object) -> None:
    """ArgumentError where it is no kernel: a number in its place, say, or a class."""
    if isinstance(kernel, type) or not hasattr(kernel, "barycenter"):
        raise ArgumentError("kernel", kernel, "have a method barycenter, as Softmax(beta) has")


def check_kernel(attention: object, d: int, itself: bool = False) -> None:
    """Form barycentres of a few unit vectors, if the kernel forms any, at others or at the vectors themselves.

    Raises
    ------
    TypeError, ValueError : they are no finite numbers of shape (N, d).
    """
    if _ours(attention) or not hasattr(attention, "barycenter"):
        return
    rng = np.random.default_rng(0)
    points = unit(rng.standard_normal((POINTS, d)))
    sources = points if itself else unit(rng.standard_normal((SOURCES, d)))
    query, key = rng.standard_normal((2, d, d)) / d**0.5
    name = f"{type(attention).__name__}.barycenter(points, measure, query, key)"
    measure = Cloud(sources, np.full(len(sources), 1 / len(sources)))
    try:
        found = attention.barycenter(points, measure, query, key)
    except Exception as error:
        of = f"points ({POINTS}, {d}) and a measure of {len(sources)} points"
        raise ValueError(f"{name} fails for {of} ({type(error).__name__}: {error})") from error
    as_array(found, f"{name} for points ({POINTS}, {d})", (POINTS, d))


def check_heads(law: Any, size: int) -> None:
    """Draw `size` heads twice from generators that are equal.

    Raises
    ------
    TypeError, ValueError : they are no `Heads` of the shapes that d asks for, or differ: then a run could not be
        resumed, and density and tokens would not meet the same layers.
    """
    if isinstance(law, FixedHeads):
        law.check_size(size)
    if _ours(law):
        return
    name = type(law).__name__
    for attribute in ("d", "sample"):
        if not hasattr(law, attribute):
            raise TypeError(f"a law of heads needs {attribute}; {name} has not")
    first, again = (law.sample(np.random.default_rng(0), size) for _ in range(2))
    if not isinstance(first, Heads):
        raise TypeError(f"{name}.sample(rng, size) must give Heads, got {type(first).__name__}")
    d, where = law.d, f"of the heads that {name}.sample(rng, {size}) gives"
    if first.inner is None:
        as_array(first.out, f"out {where}", (size, d, d))
    else:
        rank = as_array(first.out, f"out {where}", (size, d, None)).shape[2]
        as_array(first.inner, f"inner {where}", (size, rank, d))
    _check_forms(first.query, first.key, size, d, where)
    for part in ("out", "query", "key", "inner"):
        _same(getattr(first, part), getattr(again, part), f"{name}.sample")


def check_values_apart(law: Any, size: int) -> None:
    """The same of a law with V' independent of A: what `particles.ValuesApart` asks for."""
    needed = ("d", "sample", "sigma_v", "mean_value", "sample_query_key")
    missing = [attribute for attribute in needed if not hasattr(law, attribute)]
    name = type(law).__name__
    if missing:
        raise TypeError(
            f"homogenized layers need values independent of A; {name} has not: it lacks {', '.join(missing)} "
            "(particles.ValuesApart)"
        )
    if _ours(law):
        return
    check_not_negative(law.sigma_v, f"sigma_v of {name}")
    as_array(law.mean_value, f"mean_value of {name}", (law.d, law.d))
    first, again = (law.sample_query_key(np.random.default_rng(0), size) for _ in range(2))
    query, key = first
    _check_forms(query, key, size, law.d, f"that {name}.sample_query_key(rng, {size}) gives")
    for one, other in zip(first, again, strict=True):
        _same(one, other, f"{name}.sample_query_key")


def _check_forms(query: Any, key: Any, size: int, d: int, where: str) -> None:
    rows = as_array(query, f"query {where}", (size, None, d)).shape[1]
    as_array(key, f"key {where}", (size, rows, d))


def _same(one: Array | None, other: Array | None, name: str) -> None:
    if one is not None and not np.array_equal(one, np.asarray(other)):
        raise ValueError(
            f"{name} gives other heads for an equal generator: draw from the given rng alone, so that a run can be "
            "resumed and density and tokens meet the same layers"
        )
