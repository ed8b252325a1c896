"""The memory a run will need, from its configuration, and a refusal before anything is allocated.

A term of the estimate is a number of doubles that one key makes large.  The factors are counts of the arrays alive at
once in a step, rounded up to what was measured (docs/reliability.md).
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass

from particles import memory
from particles.memory import NUMBER, size
from spde.domain import SPHERES
from tokenlaw.config import ConfigError, Configuration

COPIES_OF_TOKENS = 16  # arrays (n, d): state, velocity, moved points, records waiting for the file
COPIES_OF_HEADS = 5  # arrays (heads, d, d): entries, scaled, with their mean, with the step size, layer before
COPIES_OF_GRID = 40  # arrays (grid,): points, weights, velocities, moved points, records
COPIES_OF_NODES = 40  # arrays (nodes,): the same for carried nodes
COPIES_ALONG = 60  # arrays (nodes,): frame and Jacobian of characteristics
COPIES_OF_COSTS = 3  # arrays (n, n): transport costs
MAX_TRANSPORT = 8192  # points beyond which compare computes no Wasserstein distance


@dataclass(frozen=True)
class Term:
    """Bytes that grow with a key."""

    key: str
    value: object
    need: float


def layer_terms(c: Configuration) -> Iterator[Term]:
    """Memory of the matrices of one layer."""
    heads, layers, d = c.heads, c.layers, c.model.d
    if heads is None or heads.kind == "fixed" or layers.kind == "recorded":
        return
    key = "layers.heads" if layers.kind == "transformer" else "layers.nodes"
    count = layers.heads if layers.kind == "transformer" else layers.nodes
    rows = heads.head_dim + (d if heads.mean_a is not None else 0)
    values = heads.head_dim if heads.kind == "low_rank" and layers.kind == "transformer" else d
    entries = d * (COPIES_OF_HEADS * values + 4 * rows)
    if heads.kind == "smooth":
        yield Term("heads.modes", heads.modes, 4.0 * NUMBER * heads.modes * count * entries / COPIES_OF_HEADS)
    yield Term(key, count, float(NUMBER) * count * entries) if count > 1 else Term("model.d", d, float(NUMBER) * entries)
    yield Term("model.d", d, 3.0 * NUMBER * d * d)


def token_terms(c: Configuration, n: int | None = None) -> Iterator[Term]:
    """Memory of the tokens; n is their number where a file brings it."""
    d, heads = c.model.d, c.heads
    named = Term("simulate.tokens", c.simulate.tokens, 0.0) if n is None else Term("initial.file", f"{n} tokens", 0.0)
    count = c.simulate.tokens if n is None else n
    rows = d if heads is None or heads.kind == "fixed" else heads.head_dim
    if heads is not None and heads.kind == "low_rank" and c.layers.kind == "transformer":
        rows *= 4 * c.layers.heads
    need = count * (COPIES_OF_TOKENS * d + 4.0 * rows)
    mlp = getattr(c.layers, "mlp", None)
    if mlp is not None and not mlp.width and d not in SPHERES:
        need += 5.0 * count**2
    yield Term(named.key, named.value, NUMBER * need)


def density_terms(c: Configuration) -> Iterator[Term]:
    """Memory of a density: its grid, and its carried nodes."""
    d, solve = c.model.d, c.solve
    grid = 4.5 * (solve.lmax + 1) ** 2 if d == 3 else 4.0 * solve.lmax
    yield Term("solve.lmax", solve.lmax, float(NUMBER) * COPIES_OF_GRID * grid)
    along = COPIES_ALONG if solve.characteristics else 0
    nodes = math.prod(solve.carried_nodes)
    yield Term("solve.carried_nodes", list(solve.carried_nodes), float(NUMBER) * (COPIES_OF_NODES + along) * nodes)


def compare_terms(c: Configuration, n: int | None = None) -> Iterator[Term]:
    """Memory of a comparison beyond that of density and tokens: twins, samples and transport costs."""
    count = c.simulate.tokens if n is None else n
    costs = COPIES_OF_COSTS * float(count) ** 2 if count <= MAX_TRANSPORT else 0.0
    yield Term("simulate.tokens", c.simulate.tokens, NUMBER * (3.0 * COPIES_OF_TOKENS * c.model.d * count + costs))


def terms(command: str, c: Configuration, n_tokens: int | None = None) -> list[Term]:
    """All terms of a command, "solve", "simulate" or "compare"."""
    found = [*layer_terms(c)]
    if command != "solve":
        found += token_terms(c, n_tokens)
    if command != "simulate":
        found += density_terms(c)
    if command == "compare":
        found += compare_terms(c, n_tokens)
    return found


def record_terms(c: Configuration, n_steps: int) -> Iterator[Term]:
    """Memory of layers that are recorded whole before they are written."""
    for term in layer_terms(c):
        key = "layers.depth" if c.layers.kind == "transformer" else "layers.t_end"
        yield Term(key, f"{n_steps} layers", term.need / COPIES_OF_HEADS * 2 * n_steps)


def refuse_too_large(found: list[Term]) -> None:
    """ConfigError where the terms together do not fit; it names the key that asks for most."""
    need, there = sum(term.need for term in found), memory.available()
    if need <= there:
        return
    worst = max(found, key=lambda term: term.need)
    raise ConfigError(
        f"{worst.key} = {worst.value}: the run needs about {size(need)} of memory, {size(there)} are available; lower it"
    )
