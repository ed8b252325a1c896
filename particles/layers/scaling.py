"""Which limit a transformer at initialisation is close to.  mathematics, section 2.

    depth time t_L = eta L, noise scale eps = eta/H, alpha = eps sigma^2, diffusive time eps t_L
    ballistic   alpha t_L and eta t_L small       dX = b dt
    modified    alpha t_L and eta^2 t_L small     dX = (b + corrector) dt
    diffusive   eta^2 t_L small                   (4), (5)
"""

from dataclasses import dataclass, field

import numpy as np

from particles.arrays import Array, as_array, check_count, check_not_negative, check_positive
from particles.attention.base import Kernel
from particles.heads import ValuesApart, usual_deviation
from particles.layers.base import LayerLaw
from particles.layers.drift import Ballistic, Modified
from particles.layers.homogenized import Homogenized
from particles.layers.transformer import RandomTransformer
from particles.noise import Noise
from particles.retraction import Retraction, normalize


@dataclass(frozen=True, eq=False)
class Scaling:
    """Sizes of a transformer of L layers with H heads, and the limit they point to.

    Parameters
    ----------
    eta : residual step.   heads : heads per layer H.   depth : layers L.   d : dimension of the tokens.
    sigma_v : standard deviation of the entries of V - E V, default d^-1/2.
    mean_v : E V, (d, d), default zero.
    ballistic_below, noise_below, continuous_below : limits under which eta t_L, alpha t_L, and eta^2 t_L count as
        small (for centred values the diffusive step sigma^2 eta^2/H in place of the last).

    Examples
    --------
    >>> Scaling(eta=0.1, heads=12, depth=48, d=768).regime
    'diffusive'
    """

    eta: float
    heads: int
    depth: int
    d: int
    sigma_v: float | None = None
    mean_v: Array = field(default_factory=lambda: np.zeros((0, 0)))
    ballistic_below: float = 0.1
    noise_below: float = 0.1
    continuous_below: float = 0.1

    def __post_init__(self) -> None:
        check_positive(self.eta, "eta")
        for name, least in (("heads", 1), ("depth", 0), ("d", 2)):
            check_count(getattr(self, name), name, least)
        sigma = usual_deviation(self.d) if self.sigma_v is None else self.sigma_v
        check_not_negative(sigma, "sigma_v")
        object.__setattr__(self, "sigma_v", sigma)
        mean = np.zeros((self.d, self.d)) if np.shape(self.mean_v) == (0, 0) else self.mean_v
        object.__setattr__(self, "mean_v", as_array(mean, "mean_v", (self.d, self.d)))
        for name in ("ballistic_below", "noise_below", "continuous_below"):
            check_positive(getattr(self, name), name)

    @classmethod
    def of(cls, law: RandomTransformer, depth: int) -> "Scaling":
        """The scaling of given transformer layers whose values are independent of A."""
        heads = law.heads
        if not isinstance(heads, ValuesApart):
            raise TypeError(f"a scaling needs values independent of A; {type(heads).__name__} has not")
        return cls(law.eta, law.n_heads, depth, law.d, heads.sigma_v, heads.mean_value)

    @property
    def centred(self) -> bool:
        """Whether E V = 0, so that there is no drift."""
        return not self.mean_v.any()

    @property
    def depth_time(self) -> float:
        """t_L = eta L."""
        return self.eta * self.depth

    @property
    def noise_scale(self) -> float:
        """eps = eta/H."""
        return self.eta / self.heads

    @property
    def variance(self) -> float:
        """Bound of E|P_x (V m_A - E V m_A)|^2 with |m_A| <= 1: sigma_v^2 (d - 1) + |E V|^2, sigma^2 of the theory."""
        return float((self.sigma_v or 0.0) ** 2 * (self.d - 1) + np.linalg.norm(self.mean_v, 2) ** 2)

    @property
    def alpha(self) -> float:
        """Rate of the noise, eps sigma^2."""
        return self.noise_scale * self.variance

    @property
    def diffusive_time(self) -> float:
        """eps t_L = eta^2 L/H."""
        return self.noise_scale * self.depth_time

    @property
    def regime(self) -> str:
        """ballistic, modified, diffusive, or outside: no limit describes it."""
        if self.centred:
            return "diffusive" if self.alpha * self.eta <= self.continuous_below else "outside"
        if self.eta**2 * self.depth_time > self.continuous_below:
            return "outside"
        if self.alpha * self.depth_time > self.noise_below:
            return "diffusive"
        return "modified" if self.eta * self.depth_time > self.ballistic_below else "ballistic"

    @property
    def reasons(self) -> tuple[str, ...]:
        """Why this regime, with the numbers."""
        loss = f"alpha t_L = {self.alpha * self.depth_time:.3g}"
        if self.centred:
            step = self.alpha * self.eta
            first = f"the mean of V is zero: no drift; diffusive time eps t_L = {self.diffusive_time:.3g} counts"
            verdict = "small enough" if step <= self.continuous_below else "too large"
            return first, (
                f"the step in it, sigma^2 eta^2/H = {step:.3g}, is {verdict} (limit {self.continuous_below:g}); "
                f"overlaps change by about {loss}"
            )
        continuous = f"eta^2 t_L = {self.eta**2 * self.depth_time:.3g}"
        if self.regime == "outside":
            return (f"{continuous} is above {self.continuous_below:g}: the layers are too coarse for a limit in depth",)
        said = [f"{continuous} is at most {self.continuous_below:g}: depth is close to continuous"]
        if self.regime == "diffusive":
            return *said, f"{loss} is above {self.noise_below:g}: the noise of the heads is felt"
        said.append(f"{loss} is at most {self.noise_below:g}: the noise of the heads averages out")
        first = f"eta t_L = {self.eta * self.depth_time:.3g}"
        if self.regime == "modified":
            return *said, f"{first} is above {self.ballistic_below:g}: the first correction in eta counts"
        return *said, f"{first} is at most {self.ballistic_below:g}: so is the first correction in eta"

    def law(
        self, heads: ValuesApart, kernel: Kernel, noise: Noise, dt: float | None = None, nodes: int | None = None,
        retraction: Retraction = normalize,
    ) -> LayerLaw:  # fmt: skip
        """The recommended layers, for heads of the law this scaling was made for; outside, the transformer itself.

        Parameters
        ----------
        dt : step in depth time, default eta.
        nodes : heads that represent the law of A, default 16 or H, whichever is more: dt <= nodes eps then holds.
        """
        nodes = max(16, self.heads) if nodes is None else nodes
        if heads.d != self.d:
            raise ValueError(f"heads have dimension {heads.d}, the scaling {self.d}")
        step, regime = self.eta if dt is None else dt, self.regime
        if regime == "ballistic":
            return Ballistic(heads, kernel, step, nodes, noise, retraction=retraction)
        if regime == "modified":
            return Modified(heads, kernel, step, self.eta, self.noise_scale, nodes, noise, retraction=retraction)
        if regime == "diffusive":
            return Homogenized(heads, kernel, step, nodes, noise, self.noise_scale, retraction=retraction)
        return RandomTransformer(heads, kernel, self.eta, self.heads, noise, retraction)

    def explain(self) -> str:
        """Sizes, regime and reasons as lines of text."""
        advice = {
            "ballistic": "use Ballistic: dX = b dt",
            "modified": "use Modified: dX = (b + corrector) dt",
            "diffusive": "use Homogenized: the stochastic equation",
            "outside": "use RandomTransformer: run the layers themselves",
        }
        sizes = (
            f"depth time t_L = {self.depth_time:.3g}, noise scale eps = {self.noise_scale:.3g}, "
            f"sigma^2 = {self.variance:.3g}, alpha = {self.alpha:.3g}, diffusive time = {self.diffusive_time:.3g}"
        )
        lines = [f"eta = {self.eta:g}, {self.heads} heads, {self.depth} layers, d = {self.d}", sizes]
        lines += [f"regime: {self.regime}", *(f"- {reason}" for reason in self.reasons), advice[self.regime]]
        return "\n".join(lines)
