"""Laws of layers of one's own: any McKean-Vlasov equation with common and private noise on the sphere.

    dX = P_X b(X, mu) dt + sum_k P_X s_k(X, mu) dW_k + sqrt(2 nu) dB,       W_k common to all tokens, B of each its own,
    d rho = -div(rho P b) dt - sum_k div(rho P s_k) dW_k + (second order of the common noise) + nu Lap rho dt,

mathematics, section 10.  A layer is half a step of private noise, the flow in unit time of dt b + sum_k s_k Delta W_k
(with the correction of Ito where it is asked for), and the other half (Strang 1968).
"""

import math
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from particles.arrays import Array, check_count, check_not_negative, check_positive
from particles.equations.brackets import commute
from particles.equations.common import CommonNoise
from particles.equations.controlled import Controlled
from particles.equations.drifts import Attention, Drift, Gradient, Pull, Rotation, Zonal
from particles.equations.steps import EquationPush, Heat, Ito, ScaledPush, Stratonovich
from particles.errors import ArgumentError
from particles.layers.base import Layer, Variables
from particles.layers.schemes import ExponentialRungeKutta4, RungeKutta4, Scheme
from particles.measure import Cloud
from particles.noise import Noise, Stream, check_splits, refined
from particles.pushes import Push, SumPush


@dataclass(frozen=True, eq=False)
class Equation:
    """An equation of one's own, as a law of layers.

    Orders in dt (tests/particles/equations/test_steps.py): without noise that of the scheme; with private noise alone 2
    (Strang), of densities 4 with `ExponentialRungeKutta4`; with common noise `strong_order`, 1 where its fields commute
    and 1/2 else, and weak order 1.

    Parameters
    ----------
    d : dimension of the tokens.
    drift : terms of b, such as `Zonal(Dot(2.0))`; () for none.
    dt : step in depth time.
    noise : source of all random numbers: streams COMMON (a term's place is its replica) and PRIVATE.
    common : terms of the common noise.
    nu : strength of the private noise >= 0, the term nu Lap rho.
    interpretation : `ito` or `stratonovich`, needed where the common noise differs in the two.
    scheme : of the flow in unit time, of order 2 at least: `RungeKutta4` or `Heun`; or `ExponentialRungeKutta4`.
    replica : of the private numbers; replicas share the common noise.
    splits : number of steps that share the numbers of one step of the path as it was drawn (set by `refine`).
    tolerance : where there is no common noise, error of a step over its length, by which steps up to dt are chosen
        (`Controlled`): the largest displacement of a point; with private noise that of the density in L2.  None: dt.

    Examples
    --------
    >>> import numpy as np
    >>> from particles import Noise, Tokens, Uniform, simulate
    >>> from particles.equations import Dot, Equation, Kicks, Zonal
    >>> law = Equation(2, (Zonal(Dot(1.0)),), dt=0.05, noise=Noise(7), common=(Kicks(0.3),), nu=0.2)
    >>> tokens = Tokens(Uniform(2).sample(np.random.default_rng(0), 100))
    >>> simulate(tokens, law, n_steps=20, save_every=5).sizes["depth_time"]
    5
    """

    d: int
    drift: tuple[Drift, ...]
    dt: float
    noise: Noise
    common: tuple[CommonNoise, ...] = ()
    nu: float = 0.0
    interpretation: Ito | Stratonovich | None = None
    scheme: Scheme = RungeKutta4()  # noqa: RUF009 - immutable
    replica: int = 0
    splits: int = 1
    tolerance: float | None = None

    def __post_init__(self) -> None:
        check_count(self.d, "d", 2)
        check_positive(self.dt, "dt")
        check_not_negative(self.nu, "nu")
        check_count(self.replica, "replica", least=0)
        check_splits(self.splits, "splits")
        for name, kind in (("drift", Drift), ("common", CommonNoise)):
            terms = getattr(self, name)
            terms = terms if isinstance(terms, tuple | list) else (terms,)
            object.__setattr__(self, name, tuple(terms))
            for term in terms:
                if not isinstance(term, kind):
                    raise ArgumentError(name, term, f"be terms of the kind particles.equations.{kind.__name__}")
        if self.scheme.order < 2:
            raise ArgumentError("scheme", self.scheme, "have order 2 at least, as RungeKutta4() and Heun() have")
        if isinstance(self.scheme, ExponentialRungeKutta4):
            self._check_exponential()
        if self.interpretation is None and self._corrections:
            raise ArgumentError("interpretation", None, "be ito or stratonovich: this common noise differs in the two")
        if self.tolerance is not None:
            check_positive(self.tolerance, "tolerance")
            if self.common:
                raise ArgumentError("tolerance", self.tolerance, "be left out with common noise, whose steps are given")
            if isinstance(self.scheme, ExponentialRungeKutta4):
                raise ArgumentError("tolerance", self.tolerance, "be left out with the exponential scheme")
        _ = self._drift
        for place in range(len(self.common)):
            self.common[place].push(self.numbers(0, place), self.d)  # refuses what does not fit the dimension

    def _check_exponential(self) -> None:
        """What the scheme cannot do."""
        series = (Zonal, Pull, Gradient, Rotation)
        for wrong, text in (
            (not self.nu > 0, "be another where there is no private noise"),
            (bool(self.common), "be another beside common noise"),
            (not all(isinstance(term, series) for term in self.drift), "be another beside Function or Attention"),
        ):
            if wrong:
                raise ArgumentError("scheme", self.scheme, text)

    @property
    def noise_scale(self) -> None:
        """None: the clock is depth time."""
        return None

    @cached_property
    def strong_order(self) -> float:
        """Order of the root mean square error on one path of the common noise, of densities and of tokens without nu.

        1 where all fields of common noise commute (`brackets`).  Tokens with private noise are random on such a path;
        on one of theirs as well, of normal numbers in R^d, it is 1/2 (tests/particles/equations/test_steps.py).
        """
        if not self.common:
            return float(self.scheme.order) if not self.nu else 2.0
        return 1.0 if commute(self.common, self.d) else 0.5

    @cached_property
    def _corrections(self) -> tuple[Drift, ...]:
        found = (term.correction(self.d) for term in self.common)
        return tuple(term for term in found if term is not None)

    @cached_property
    def _drift(self) -> tuple[Push, ...]:
        """The pushes by dt b, and by what the sense of Ito takes from it."""
        terms = tuple(term.push(self.d, self.dt) for term in self.drift)
        if not isinstance(self.interpretation, Ito):
            return terms
        return (*terms, *(ScaledPush(term.push(self.d, self.dt), -1.0) for term in self._corrections))

    def numbers(self, step: int, place: int) -> Array:
        """Standard normal numbers of the common noise in a step, of the term at a place."""
        term = self.common[place]
        return refined(lambda rng: term.draw(rng, self.d), self.noise, Stream.COMMON, step, self.splits, place)

    def refine(self, factor: int) -> "Equation":
        """The same path with steps `factor` times as short, a power of two."""
        check_splits(factor, "factor")
        return replace(self, dt=self.dt / factor, splits=self.splits * factor)

    def layer(self, step: int) -> Layer:
        """Layer number `step`: half the private noise, drift and common noise together, the other half."""
        if self.tolerance is not None:
            given = replace(self, tolerance=None)
            return (Controlled(given.of_length, self.dt, self.strong_order, self.tolerance, self.nu > 0),)
        root = math.sqrt(self.dt)
        noises = tuple(
            term.push(root * self.numbers(step, place), self.d) for place, term in enumerate(self.common)
        )
        move = EquationPush(SumPush((*self._drift, *noises)), self.scheme)
        if not self.nu:
            return (move,)
        before, after = (
            Heat(self.nu * self.dt / 2, self.noise, 2 * step + half, self.replica, splits=self.splits)
            for half in range(2)
        )
        return before, move, after

    def of_length(self, dt: float) -> Layer:
        """The layer of a step of another length, of an equation without common noise."""
        return replace(self, dt=dt).layer(0)

    @property
    def _gradients(self) -> tuple[Drift, ...] | None:
        """The terms that make the energy; None where one is no gradient, or no energy is kept by its rotations."""
        turning = any(isinstance(term, Rotation) for term in self.drift)
        terms = tuple(term for term in self.drift if not isinstance(term, Rotation))
        known = (Zonal,) if turning else (Zonal, Pull, Gradient)
        return terms if all(isinstance(term, known) for term in terms) else None

    @property
    def descent(self) -> SumPush | None:
        """The push by -grad dE/dmu, in unit time; None where the drift has no energy, as far as is known."""
        terms = self._gradients
        return None if terms is None else SumPush(tuple(term.push(self.d, 1.0) for term in terms))

    def energy(self, measure: Cloud) -> float | None:
        """E[mu], which the drift makes smaller; None where it has none.  Rotations keep that of zonal interactions."""
        terms = self._gradients
        return None if terms is None else float(sum(term.potential(measure) or 0.0 for term in terms))

    def variables(self, measure: Cloud) -> Variables:
        """What a record says of a measure beside its moments: energies."""
        found: Variables = {}
        if (energy := self.energy(measure)) is not None:
            found["interaction_energy"] = ((), np.asarray(energy), "energy of interaction and of external gradients")
        by_heads = [term.energy(measure) for term in self.drift if isinstance(term, Attention)]
        known = [one for one in by_heads if one is not None]
        if known:
            found["attention_energy"] = ((), np.asarray(float(np.sum(known))), "energy of attention, E_beta")
        return found
