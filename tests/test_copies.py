"""Defaults that are one number, and copies by `dataclasses.replace` that carry no cache along."""

import importlib
import inspect
import math
import pkgutil
from dataclasses import MISSING, fields, is_dataclass, replace

import numpy as np
import pytest

import particles
import spde
import tokenlaw
import validation
from particles import (
    Ballistic,
    GaussianHeads,
    Homogenized,
    LowRankHeads,
    Noise,
    RademacherHeads,
    Scaling,
    SmoothHeads,
    SmoothTransformer,
    UniformHeads,
    VonMisesFisherMixture,
)
from particles.heads import usual_deviation
from validation.estimates import TokenLevels

LAWS = (GaussianHeads, LowRankHeads, RademacherHeads, UniformHeads, SmoothHeads)
DATA = {  # what a value is made of, not what it remembers
    ("validation.verdict", "Findings", "table"), ("validation.verdict", "Part", "excludes"),
    ("tokenlaw.runs.build", "Experiment", "inputs"),
    ("spde.state", "DensityState", "said"),  # a run goes on with a copy of it
}  # fmt: skip


@pytest.mark.parametrize("law", LAWS)
def test_heads_have_defaults(law):
    for d in (2, 3, 8, 64):
        heads = law(d)
        assert (heads.sigma_v, heads.sigma_a, heads.head_dim) == (1 / math.sqrt(d), 1 / math.sqrt(d), d)
        assert Scaling(0.1, 4, 4, d).sigma_v == usual_deviation(d) == heads.sigma_v
    assert law(8, head_dim=2).sample(np.random.default_rng(0), 1).query.shape == (1, 2, 8)
    with pytest.raises(ValueError, match="sigma_a must be finite and >= 0, got nan"):
        law(3, sigma_a=math.nan)


def test_a_copy_with_other_noise_draws_its_own_nodes():
    law = Homogenized(GaussianHeads(3), particles.Softmax(1.0), dt=0.1, nodes=4, noise=Noise(1), fixed=True)
    used = law.layer(0)[0]
    fresh = Homogenized(GaussianHeads(3), particles.Softmax(1.0), dt=0.1, nodes=4, noise=Noise(2), fixed=True).layer(0)[
        0
    ]
    copied = replace(law, noise=Noise(2)).layer(0)[0]
    assert np.array_equal(copied.query, fresh.query)
    assert np.array_equal(copied.out, fresh.out)
    assert not np.array_equal(copied.query, used.query)
    assert replace(law, nodes=7).layer(0)[0].query.shape == (7, 3, 3)
    assert np.array_equal(law.coarsen(2).layer(0)[0].query, used.query)
    assert law.layer(1)[0].query is law.layer(2)[0].query  # drawn once


@pytest.mark.parametrize("kind", ["smooth", "ballistic"])
def test_other_laws_that_draw_once_do_so_too(kind):
    heads = SmoothHeads(3) if kind == "smooth" else GaussianHeads(3, mean_v=np.eye(3))

    def law(seed):
        if kind == "smooth":
            return SmoothTransformer(heads, particles.Softmax(1.0), 0.1, 2, Noise(seed))
        return Ballistic(heads, particles.Softmax(1.0), 0.1, 2, Noise(seed))

    def query(found):
        return (found if kind == "smooth" else found.mean).query

    used, fresh = law(1), law(2)
    used.layer(0)
    copied = replace(used, noise=Noise(2))
    one, other = (x.layer(0)[0] if kind == "smooth" else x for x in (copied, fresh))
    assert np.array_equal(query(one), query(other))


def test_the_samples_of_levels_have_nodes_of_their_own():
    law = Homogenized(GaussianHeads(3), particles.Softmax(1.0), dt=0.1, nodes=2, noise=Noise(1), fixed=True)
    law.layer(0)
    start = VonMisesFisherMixture([1.0], [[0, 0, 1.0]], [1.0])
    levels = TokenLevels(law, start, lambda cloud: 0.0, t_end=0.1, tokens=2)
    drawn = [levels._drawn(0, member)[0].layer(0)[0].query for member in (0, 1)]
    assert not np.array_equal(drawn[0], drawn[1])


def modules():
    for package in (particles, spde, validation, tokenlaw):
        for found in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
            if not found.name.endswith(("__main__", "torch_sdpa")):
                yield importlib.import_module(found.name)


def test_no_frozen_object_takes_a_cache_from_another():
    """A field that remembers is no argument: `replace` would hand the same one to the copy."""
    wrong = []
    for module in modules():
        for name, value in inspect.getmembers(module, inspect.isclass):
            if value.__module__ != module.__name__ or not is_dataclass(value) or not value.__dataclass_params__.frozen:
                continue
            for one in fields(value):
                default = None if one.default_factory is MISSING else one.default_factory()
                loose = is_dataclass(default) and not default.__dataclass_params__.frozen
                remembers = loose or isinstance(default, dict | list | set)
                if one.init and remembers and (module.__name__, name, one.name) not in DATA:
                    wrong.append(f"{module.__name__}.{name}.{one.name}")
    assert wrong == []
