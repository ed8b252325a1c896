"""The memory a run will need, from its configuration, and a refusal before anything is allocated.

A term of the estimate is a number of doubles that one key makes large.  The factors are counts of the arrays alive at
once, as docs/measure_memory.py measures them: the estimate is between 0.9 and 1.8 times what a run takes.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from particles.files import WAITING
from particles.machine import NUMBER, available, size
from spde import SHARED
from spde.domain import SPHERES
from tokenlaw.config.layers import SmoothHeads
from tokenlaw.config.read import ConfigError, Configuration
from validation.distances import MAX_POINTS

TOKENS: Final = 5  # arrays (n, d): state, velocity, moved points
BESIDE_TOKENS: Final = 6  # arrays (n,): angles, weights, lengths
PASSIVE: Final = 3  # arrays (n, d) of each of three sets of passive points of a comparison
HEADS: Final = 1.5  # arrays of each matrix of a head
GRID: Final = 17  # arrays (grid points,)
NODES: Final = 36  # arrays (carried nodes,)
ALONG: Final = 60  # arrays (carried nodes,) more for characteristics: frames, derivatives
STAGES: Final = 55  # likewise for steps of several stages
NEIGHBOURS: Final = 45  # likewise for characteristics of such steps
HALVES: Final = 45  # likewise for steps whose length is chosen
COSTS: Final = 4.5  # arrays (n, n) of exact transport
JOINT: Final = 7  # arrays (n, n) of a limit field drawn jointly
STORED: Final = 1 << 24  # entries of a Sinkhorn kernel that are kept
CACHE: Final = 1 << 24  # bytes of chunks that the library of the file keeps
BESIDE_A_RECORD: Final = 4096  # bytes of a record that waits beside its numbers
IN_A_SECOND: Final = 1000  # records, at most
PROCESS: Final = 250 << 20  # bytes of a worker of an ensemble before its run
MARGIN: Final = 1.4  # of the runs of an ensemble, whose workers do not see what the others are about to take


@dataclass(frozen=True)
class Term:
    """Bytes that grow with a key: how the key stands in the configuration, and the need."""

    key: str
    value: object
    need: float


def _head(c: Configuration) -> tuple[int, float]:
    """Number of heads of a layer that is drawn, and numbers that its matrices hold, once each, per head."""
    heads, layers, d = c.heads, c.layers, c.model.d
    if heads is None or heads.kind == "fixed" or layers.kind == "recorded" or layers.kind == "equation":
        return 0, 0.0
    head_dim = heads.head_dim or d
    rows = head_dim + (d if heads.mean_a is not None else 0)
    low_rank = heads.kind == "low_rank" and layers.kind == "transformer"
    values = 2 * head_dim if low_rank else d
    return layers.heads if layers.kind == "transformer" else layers.nodes, float(d * (values + 2 * rows))


def layer_terms(c: Configuration) -> Iterator[Term]:
    """Memory of the matrices of one layer, which is needed whatever the command."""
    count, entries = _head(c)
    d, key = c.model.d, "layers.heads" if c.layers.kind == "transformer" else "layers.nodes"
    need = NUMBER * count * entries * HEADS
    yield Term(key, count, need) if count > 1 else Term("model.d", d, need)
    if isinstance(c.heads, SmoothHeads):
        yield Term("heads.modes", c.heads.modes, 2.2 * NUMBER * c.heads.modes * count * entries)


def token_terms(c: Configuration, n: int | None = None) -> Iterator[Term]:
    """Memory of the tokens; n is their number where a file brings it."""
    d, count = c.model.d, c.simulate.tokens if n is None else n
    need = count * (TOKENS * d + float(BESIDE_TOKENS))
    if c.heads is not None and c.heads.kind == "low_rank" and c.layers.kind == "transformer":
        need += 2.0 * count * c.layers.heads * (c.heads.head_dim or d)
    mlp = getattr(c.layers, "mlp", None)
    if mlp is not None and not mlp.width and d not in SPHERES:
        need += JOINT * float(count) ** 2
    if c.model.attention == "sinkhorn":
        need += min(float(count) ** 2, STORED)
    yield _of_tokens(c, n, need)


def _of_tokens(c: Configuration, n: int | None, need: float) -> Term:
    return Term("simulate.tokens", c.simulate.tokens, NUMBER * need) if n is None else Term(
        "initial.file", f"{n} tokens", NUMBER * need
    )


def density_terms(c: Configuration) -> Iterator[Term]:
    """Memory of a density: its grid, and its carried nodes with the quadrature of its initial law."""
    d, solve = c.model.d, c.solve
    grid = 4.5 * (solve.lmax + 1) ** 2 if d == 3 else 4.0 * solve.lmax
    yield Term("solve.lmax", solve.lmax, float(NUMBER) * GRID * grid)
    stages = c.layers.kind in ("equation", "modified") or getattr(c.layers, "scheme", "euler") == "rk4"
    per_node = NODES + ALONG * solve.characteristics + stages * (STAGES + NEIGHBOURS * solve.characteristics)
    per_node += HALVES * (getattr(c.layers, "tolerance", None) is not None)
    given = solve.given_nodes
    shown = "auto" if given is None else list(given)
    yield Term("solve.carried_nodes", shown, NUMBER * per_node * carried_count(c))


def carried_count(c: Configuration) -> float:
    """Number of carried nodes at the start of a run, about."""
    given = c.solve.given_nodes
    pieces = len(getattr(c.initial, "components", "1"))  # of which each has its own grid
    return SHARED * math.sqrt(pieces) if given is None else float(math.prod(given))


def compare_terms(c: Configuration, n: int | None = None) -> Iterator[Term]:
    """Memory of a comparison beyond that of density and tokens: twins, samples and transport costs."""
    count = float(c.simulate.tokens if n is None else n)
    costs = COSTS * count**2 if count <= MAX_POINTS else 0.0
    yield _of_tokens(c, n, 3 * PASSIVE * c.model.d * count + costs)


def record_terms(c: Configuration, n_steps: int) -> Iterator[Term]:
    """Memory of layers that are recorded whole before they are written: each, and all together."""
    count, entries = _head(c)
    key = "layers.depth" if c.layers.kind == "transformer" else "layers.t_end"
    yield Term(key, f"{n_steps} layers", 2.0 * NUMBER * n_steps * count * entries)


def record_size(command: str, c: Configuration, n_tokens: int | None = None) -> float:
    """Bytes of a record of a command, about."""
    d, n, count = c.model.d, c.simulate.tokens if n_tokens is None else n_tokens, 0.0
    if command != "solve":
        count += n * (d + 1.0) + d * d
    if command != "simulate":
        modes = c.solve.lmax + 1.0
        nodes = carried_count(c) * ((d if command == "compare" else 0) + 4 * c.solve.characteristics)
        count += 5.5 * modes**2 if d == 3 else 5 * modes
        count += nodes + d * d
    return NUMBER * count


def waiting_term(command: str, c: Configuration, n_tokens: int | None, n_records: int) -> Term:
    """Memory of records that wait for the file: all but the last, which is part of the state, and a copy of one."""
    size = record_size(command, c, n_tokens)
    most = max(0, min(n_records, math.ceil(WAITING / size)) - 1)
    need = size * (most + 1) + min(float(CACHE), n_records * size) + BESIDE_A_RECORD * min(n_records, IN_A_SECOND)
    return Term("solve.lmax", c.solve.lmax, need) if command == "solve" else _of_tokens(c, n_tokens, need / NUMBER)


def terms(command: str, c: Configuration, n_tokens: int | None = None, n_records: int = 1) -> list[Term]:
    """All terms of a command, "solve", "simulate" or "compare", that writes so many records."""
    found = [*layer_terms(c)]
    if command != "solve":
        found += token_terms(c, n_tokens)
    if command != "simulate":
        found += density_terms(c)
    if command == "compare":
        found += compare_terms(c, n_tokens)
    return [*found, waiting_term(command, c, n_tokens, n_records)]


def refuse_too_large(found: list[Term]) -> None:
    """ConfigError where the terms together do not fit; it names the key that asks for most."""
    need, there = sum(term.need for term in found), available()
    if need <= there:
        return
    worst = max(found, key=lambda term: term.need)
    raise ConfigError(
        f"{worst.key} = {worst.value}: the run needs about {size(need)} of memory, {size(there)} are available; "
        "lower it"
    )


def at_a_time(need: float) -> int:
    """How many runs that need so many bytes each, in processes of their own, fit at the same time."""
    return int(available() // (MARGIN * need + PROCESS))
