"""Calls that do not fit, and what is given in place of a kernel, a push or a name: one sentence says what fits."""

import copy
import inspect
import pickle
from dataclasses import replace

import numpy as np
import pytest

import particles
import spde
import validation
from particles import (
    ArgumentError,
    Ballistic,
    GaussianHeads,
    Homogenized,
    Layers,
    Modified,
    Noise,
    Push,
    RandomTransformer,
    RecordedLayers,
    SmoothHeads,
    SmoothTransformer,
    Softmax,
    TokenFlow,
    Tokens,
    Uniform,
    backward,
    gradient_norms,
    normalize,
    record,
    simulate,
    trajectory,
)
from spde import Density, DensityFlow, Sphere, solve

HEADS, NOISE, KERNEL = GaussianHeads(3), Noise(7), Softmax(1.0)
TOKENS = Tokens(Uniform(3).sample(np.random.default_rng(0), 6))
LAW = RandomTransformer(HEADS, KERNEL, 0.1, 2, NOISE)
DENSITY = Density.from_law(Uniform(3), Sphere(7), (8, 16))
STACK = np.ones((2, 1, 3, 3))


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: solve(DENSITY, LAW, KERNEL, n_steps=1), r"solve\(density, law, n_steps=...\)"),
        (lambda: solve(DENSITY, LAW, attention=KERNEL, n_steps=1), r"solve\(density, law, n_steps=...\)"),
        (lambda: simulate(TOKENS, LAW, KERNEL, n_steps=1), r"simulate\(tokens, law, n_steps=...\)"),
        (lambda: record(LAW, KERNEL, 1), r"record\(law, n_layers\)"),
        (lambda: trajectory(TOKENS, LAW, KERNEL, n_steps=1), r"trajectory\(tokens, law, n_steps\)"),
        (lambda: gradient_norms(TOKENS, LAW, KERNEL, n_steps=1), r"gradient_norms\(tokens, law, n_steps=...\)"),
        (lambda: backward(TOKENS, LAW, KERNEL, n_steps=1, gradient=TOKENS.points), r"backward\(tokens, law, "),
        (lambda: RandomTransformer(HEADS, eta=0.1, n_heads=2, noise=NOISE), r"\(heads, Softmax\(beta\), eta"),
        (lambda: RandomTransformer(HEADS, 0.1, 2, NOISE), r"\(heads, Softmax\(beta\), eta"),
        (lambda: Homogenized(HEADS, dt=0.1, nodes=2, noise=NOISE), r"\(heads, Softmax\(beta\), dt"),
        (lambda: Ballistic(HEADS, dt=0.1, nodes=2, noise=NOISE), r"\(heads, Softmax\(beta\), dt"),
        (lambda: Modified(HEADS, dt=0.1, eta=0.1, noise_scale=0.0, nodes=2, noise=NOISE), r"\(heads, Softmax\(beta\)"),
        (lambda: SmoothTransformer(SmoothHeads(3), eta=0.1, n_heads=2, noise=NOISE), r"\(heads, Softmax\(beta\), eta"),
        (lambda: RecordedLayers(STACK, STACK, STACK), r"RecordedLayers\(out, query, key, Softmax\(beta\)\)"),
        (lambda: particles.AttentionPush(*STACK, STACK[0]), r"AttentionPush\(Softmax\(beta\), out, query, key\)"),
    ],
)
def test_a_call_without_or_with_a_kernel_says_where_it_stands(call, says):
    with pytest.raises(TypeError, match=says):
        call()


@pytest.mark.parametrize("kernel", [0.1, "softmax", Softmax])
@pytest.mark.parametrize(
    "make",
    [
        lambda kernel: RandomTransformer(HEADS, kernel, 2, NOISE, normalize),
        lambda kernel: Homogenized(HEADS, kernel, 0.1, 2, NOISE),
        lambda kernel: Ballistic(HEADS, kernel, 0.1, 2, NOISE),
        lambda kernel: SmoothTransformer(SmoothHeads(3), kernel, 0.1, 2, NOISE),
        lambda kernel: RecordedLayers(STACK, STACK, STACK, kernel),
    ],
)
def test_what_is_no_kernel_is_refused_by_the_law(make, kernel):
    with pytest.raises(ArgumentError, match="kernel must have a method barycenter, as Softmax"):
        make(kernel)


def test_a_kernel_in_place_of_a_field():
    for flow, start in ((TokenFlow(LAW, KERNEL), TOKENS), (DensityFlow(Sphere(7), LAW, KERNEL), DENSITY)):
        with pytest.raises(TypeError, match="field must make a velocity field, as DirectField does, got Softmax"):
            flow.step(flow.start(start))


class Given(Push):
    """A push whose velocity is what is given."""

    def __init__(self, found):
        self.found = found

    def velocity(self, measure):
        return self.found


@pytest.mark.parametrize(
    ("layer", "says"),
    [
        (None, "layer 0 must be a push .* NoneType is none"),
        ([Given(np.zeros_like)], "layer 0 must be a push .* list is none"),
        (Given(np.zeros(3)), "Given.velocity.measure. must give a function of points, got ndarray"),
        (Given(lambda points: points[0]), r"a velocity must have shape \(\d+, 3\), that of the points, got \(3,\)"),
        (Given(lambda points: 0.0), r"a velocity must have shape \(\d+, 3\), that of the points, got \(\)"),
    ],
)
@pytest.mark.parametrize(
    "run", [lambda law: simulate(TOKENS, law, n_steps=1), lambda law: solve(DENSITY, law, n_steps=1)]
)
def test_what_is_no_push_or_gives_no_velocity_is_named(run, layer, says):
    with pytest.raises((TypeError, ValueError), match=says):
        run(Layers(lambda step: layer, d=3, dt=0.1))


def test_a_law_of_no_function():
    with pytest.raises(ArgumentError, match="function must be a function of the step"):
        Layers(Given(np.zeros_like), d=3, dt=0.1)


@pytest.mark.parametrize(
    ("package", "name", "now"),
    [(particles, "Attention", "Kernel"), (validation, "compare", "PairFlow"), (validation, "Comparison", "PairFlow")],
)
def test_a_name_that_was_says_what_it_is(package, name, now):
    with pytest.raises(ImportError, match=now):
        exec(f"from {package.__name__} import {name}", {})


def test_rooms_hand_on_what_stands_in_them():
    for room in (particles.layers, particles.attention):
        shared = set(room.__all__) & set(particles.__all__)
        assert all(getattr(room, name) is getattr(particles, name) for name in shared)
        assert len(shared) >= 9
    assert not hasattr(spde, "no such name")
    assert not hasattr(particles, "no such name")


def test_laws_are_copied_replaced_and_pickled_as_before():
    assert list(inspect.signature(RandomTransformer).parameters)[:3] == ["heads", "kernel", "eta"]
    for again in (copy.deepcopy(LAW), pickle.loads(pickle.dumps(LAW)), replace(LAW)):
        np.testing.assert_array_equal(again.layer(3)[0].out, LAW.layer(3)[0].out)


def plain(points, velocity):
    """A retraction that is a function."""
    return normalize(points, velocity)


def test_a_retraction_that_is_a_function_moves_tokens_and_no_more():
    law = replace(LAW, retraction=plain)
    assert np.array_equal(simulate(TOKENS, law, n_steps=2).tokens, simulate(TOKENS, LAW, n_steps=2).tokens)
    with pytest.raises(TypeError, match=r"retraction must be a particles.Retraction here, .* got plain"):
        gradient_norms(TOKENS, law, n_steps=1)
    mean = GaussianHeads(3, mean_v=np.eye(3))
    with pytest.raises(ArgumentError, match="retraction must be normalize or geodesic"):
        Modified(mean, KERNEL, 0.1, 0.1, 0.0, 2, NOISE, retraction=plain)
    with pytest.raises(TypeError, match=r"retraction must be a particles.Retraction here, .* got plain"):
        simulate(TOKENS, Ballistic(mean, KERNEL, 0.1, 2, NOISE, retraction=plain), n_steps=1)
