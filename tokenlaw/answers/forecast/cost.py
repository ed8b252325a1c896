"""How long a chain takes: its operations, by kind, over what this machine does of each in a second.

Accuracy: a factor 2, docs/measure_chain.py compares with the clock.
"""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import numpy as np
import scipy

from particles import Activation
from particles.networks import Network

OVERHEAD = 7e-4  # seconds of a layer, whatever its size
SHAPES = 1.35  # time of a product of long matrices over that of square ones
SCALED = 1.6  # of a random number that is scaled and put in its place over that of a drawn one
SOFTMAX, KERNEL, PAIRS = 5.0, 130.0, 20.0  # exponentials that take as long as an element of these
GRADIENTS = 2.5  # passes of a layer for each forward one, with gradients, beside what is done to hidden units


@dataclass(frozen=True)
class Work:
    """Operations.

    Attributes
    ----------
    products : additions and multiplications in matrix products.   factors : in triangular factors.
    normals : random numbers drawn.   units : activations.   elements : exponentials taken, or what takes as long.
    pairs : the same, always in double precision.   layers : passes through a layer.
    """

    products: float = 0.0
    factors: float = 0.0
    normals: float = 0.0
    units: float = 0.0
    elements: float = 0.0
    pairs: float = 0.0
    layers: float = 0.0

    def __add__(self, other: "Work") -> "Work":
        return Work(*(a + b for a, b in zip(self.numbers, other.numbers, strict=True)))

    def __mul__(self, times: float) -> "Work":
        return Work(*(times * a for a in self.numbers))

    @property
    def numbers(self) -> tuple[float, ...]:
        """In the order of the attributes."""
        return (self.products, self.factors, self.normals, self.units, self.elements, self.pairs, self.layers)


def of_layer(network: Network, n: int) -> Work:
    """Of one layer, once forward, of one network of n tokens."""
    d = network.d
    m = min(n, d)
    mlp, described = network.mlp, Work(products=2 * m * n * n + 2 * m * n * min(m, n), pairs=PAIRS * n * n, layers=1)
    found = described + of_attention(network, n)
    if mlp is None:
        return found
    if mlp.width == math.inf:
        inner = Work(products=2 * m * n * n, factors=n**3 / 3, pairs=KERNEL * n * n)
        return found + inner + of_output(n, n, d)
    width, matrices = int(mlp.width), 1 + mlp.gated
    inner = Work(normals=matrices * width * m, products=matrices * width * m * n, units=width * n)
    return found + inner + of_output(width, n, d)


def of_attention(network: Network, n: int) -> Work:
    """Projections, scores, weights and what they bring, output."""
    a, m = network.attention, min(n, network.d)
    value = m if a.whole_values else a.head_dim
    projected = a.head_dim * (a.heads + a.groups * (1 if a.whole_values else 2))
    seen = n * (min(n, 256) + n) / 2 if a.causal else n * n  # pairs that are computed
    inner = Work(
        products=projected * m * n + 2 * a.heads * seen * (a.head_dim + value), normals=projected * m,
        elements=SOFTMAX * a.heads * seen,
    )  # fmt: skip
    return inner + of_output(a.heads * value, n, network.d)


def of_output(rows: int, n: int, d: int) -> Work:
    """The matrix behind (rows, n) units, and the sum in n axes again."""
    m, rank = min(n, d), min(rows, n)
    beyond = min(d - m, rank)
    factors = 2 * n**3 / 3 if rows > n else n**3 / 3
    products = (rows * n * n if rows > n else 0) + (m + beyond / 2) * rank * n + (m + beyond) * n * n * (beyond > 0)
    return Work(products=products, factors=factors, normals=m * rank + beyond * rank / 2)


def of_way_back(network: Network, n: int) -> Work:
    """Of what gradients need beside passes of the layer: axes of the hidden units, and what comes back to them."""
    a, m = network.attention, min(n, network.d)
    units = a.heads * (m if a.whole_values else a.head_dim) + (0 if network.mlp is None else int(network.mlp.width))
    return Work(products=50.0 * units * m * n, normals=8.0 * units * m)


@dataclass(frozen=True)
class Speed:
    """Seconds of an operation, by the kinds of `Work`, in double precision; of a product in single precision too."""

    product: float
    factor: float
    normal: float
    exponential: float
    single: float

    def seconds(self, work: Work, activation: float, single: bool = False) -> float:
        """Of some work; `activation`: of one of these; `single`: blocks compute in single precision."""
        product = SHAPES * (0.4 * self.product + 0.6 * (self.single if single else self.product))
        fast = 0.7 if single else 1.0
        return float(
            work.products * product + work.factors * self.factor + work.normals * self.normal * SCALED * fast
            + work.units * activation * fast + work.elements * self.exponential * fast
            + work.pairs * self.exponential + work.layers * OVERHEAD
        )  # fmt: skip


@cache
def speed() -> Speed:
    """Of this machine, from a few milliseconds of each kind of work."""
    rng, n = np.random.default_rng(0), 448
    square = rng.standard_normal((n, n))
    single = square.astype(np.float32)
    positive = square @ square.T + n * np.eye(n)
    row = square[:128].copy()
    return Speed(
        product=_least(lambda: square @ square) / (2 * n**3),
        factor=_least(lambda: scipy.linalg.lapack.dpotrf(positive, lower=0)) / (n**3 / 3),
        normal=_least(lambda: rng.standard_normal(1 << 16)) / (1 << 16),
        exponential=_least(lambda: np.exp(row)) / row.size,
        single=_least(lambda: single @ single) / (2 * n**3),
    )  # fmt: skip


@cache
def of_unit(activation: Activation) -> float:
    """Seconds of one activation."""
    inputs = np.random.default_rng(0).standard_normal((64, 256))
    return float(_least(lambda: activation.function(inputs)) / inputs.size)


def _least(work: Callable[[], object], tries: int = 3) -> float:
    found = []
    for _ in range(tries):
        begun = time.perf_counter()
        work()
        found.append(time.perf_counter() - begun)
    return float(min(found))



def seconds(network: Network, n: int, gradients: bool = False, single: bool = False) -> float:
    """Of one network of n tokens, on one core of this machine."""
    layer = of_layer(network, n)
    work = (layer * GRADIENTS + of_way_back(network, n) if gradients else layer) * network.layers
    return speed().seconds(work, 0.0 if network.mlp is None else of_unit(network.mlp.activation), single)


def memory(network: Network, n: int) -> float:
    """Bytes that one network needs at a time: a few arrays of its largest shapes."""
    a, width = network.attention, 0 if network.mlp is None or network.mlp.width == math.inf else int(network.mlp.width)
    heads = a.heads * (min(n, network.d) if a.whole_values else a.head_dim)
    return 8.0 * n * (6 * n + 3 * (heads + a.groups * a.head_dim) + 3 * width) + 8.0 * 3 * (1 << 18)
