"""The main paper, 2604.01978, statement by statement: what it says, what a formal restatement found, and our study.

The restatement is fxeqxmulfx/transformer on GitHub, src/Transformer/Homogenized, in Lean.  It is cited where it refuted
a statement independently; most of its statements are written down with their hypotheses and not yet proved.
"""

from dataclasses import dataclass

RESTATEMENT = "fxeqxmulfx/transformer (GitHub, src/Transformer/Homogenized)"


@dataclass(frozen=True)
class Statement:
    """One statement of the paper.

    Attributes
    ----------
    labels : as in its source.   text : as reported.
    restated : what the formal restatement found.
    claims : names of our claims about it.   note : what they do not cover, or why there is none.
    """

    labels: str
    text: str
    restated: str
    claims: tuple[str, ...] = ()
    note: str = ""

    def __post_init__(self) -> None:
        if not self.claims and not self.note:
            raise ValueError(f"{self.labels}: say which claims study it, or why none does")


STATEMENTS = (
    Statement(
        "thm:weak_error_clean",
        "sup over t <= t_L of the weak error <= C e^(C t_L) eta (t_L + 1) max(1, alpha)",
        "restated with equal starts and H >= 1; the proof open in the version read",
        ("D1",),
    ),
    Statement(
        "the improved rate, lem:stability_generator",
        "eta max(eta, alpha) against the drift b - (eta/2) nabla_b b; C eta^2 max(eta, alpha) in one step",
        "refuted between grid times; restated at grid times",
        ("D2", "D4"),
        "at grid times too the drift needs the other terms of (3)",
    ),
    Statement(
        "cor:ode1",
        "ballistic regime, dX = b dt, with rate C e^(C t_L) eta (t_L + 1) max(eta, alpha)",
        "refuted as printed, by the lag between grid times; restated without the leading eta",
        ("D3",),
    ),
    Statement(
        "cor:ode2",
        "modified regime, drift b - (eta/2) nabla_b b, with the same rate",
        "refuted as printed, by the same lag",
        ("D2", "D4"),
    ),
    Statement(
        "cor:SDE",
        "diffusive regime, alpha t_L = O(1), with the same rate",
        "reported as refuted as printed",
        ("D1", "D2"),
        "D1 has heads with a mean at constant alpha: order eta; D2 the corrector with noise, alpha proportional to eta",
    ),
    Statement(
        "cor:weak_error_centered",
        "for centred heads C e^(C t_L alpha) eta (t_L + 1) max(eta, alpha)",
        "restated",
        ("D1",),
        "far from sharp: the error is of order eta^2/H over a diffusive time",
    ),
    Statement(
        "lem:lemma_app, lem:Ito_formula",
        "K = (1/d) E <m, m> I for Gaussian heads; the drift of an overlap, (7)",
        "restated",
        ("S1", "D1"),
        "(7) is used by both; D1's generator is derived without it and agrees "
        "(tests/validation/studies/test_weak_error.py)",
    ),
    Statement(
        "lem:drift_on_simplex_selfcontained, thm:clustering_random_init",
        "equiangular tokens drift by b(g) = s_ij - g s_ii; with probability 1 - delta, sup over [0, T] of "
        "|<x_i, x_j> - g(t)| <= e^(C T) sqrt((8 T/d) log(2 n^2/delta))",
        "the drift refuted at finite d, by (g s_ii - (2 - g^2) s_ij)/d; the bound unaffected and not proved",
        ("S1", "S3"),
        "S3 has the bound where it is smallest, C = 0, in d and n; T = 1 only",
    ),
    Statement(
        "thm:clustering_small_beta",
        "sup |w - u| <= C e^(C T) max(1/d, d^2 sigma_a^4 beta^2) + C sqrt((T/d) log(4/delta)), u' = u (1 - u), "
        "beta <= 1 and all overlaps at least gamma > 0",
        "restated, not proved",
        ("S2",),
        "at beta = 0 only; statistics of attention depend on beta^2 d sigma_a^4, a factor d smaller than the bound's",
    ),
    Statement(
        "thm:large_beta_meta(1)",
        "at low temperature an overlap moves by at most T/d + C sqrt((T/d) log(1/delta)) + r on [0, T]",
        "restated with T r in place of r, without which it is false for large T; not proved",
        ("L2",),
        "not studied as a bound: L2's drift and variance, both of order 1/d, are what it follows from",
    ),
    Statement(
        "thm:large_beta_meta (2)",
        "on the scale t d the overlap tends to du = -u (1 - u^2) dt + sqrt(2) (1 - u^2) dB",
        "restated, not proved",
        ("L2", "L3"),
        "kappa is 2 and not 1 for head_dim = d",
    ),
    Statement(
        "sec:sde.logistic",
        "arcsin u is a martingale, and P(u -> 1) = 1/2 + arcsin(u_0)/pi",
        "restated with arcsin for a misprinted sin; not proved",
        (),
        "a consequence of kappa = 1, which L2 corrects: with kappa = 2 u does not end, with kappa < 2 the scale "
        "density is (1 - u^2)^(-kappa/2)",
    ),
    Statement(
        "lem:delta_method",
        "E <nrm(Ax), nrm(Ay)> = R + (R^3 - R)/(2 d) + ... for A = W W'^T",
        "restated",
        ("L1",),
    ),
    Statement(
        "prop:satisfying_MF",
        "the diffusion field is Lipschitz with the constant O(beta^2 e^(4 beta |Abar|) e^(beta^2 d sigma_a^2))",
        "refuted: it vanishes with beta and knows no scale of the values, both of which the field does not do",
        (),
        "a closed form decides: at beta = 0 the field is P_x V m, whose dependence on x does not vanish",
    ),
    Statement(
        "prop:poc",
        "max_i E sup |x_i - xbar_i|^2 + E sup W_2^2 <= (C_T/n) sum_i E |x_i(0) - xbar_i(0)|^2, xbar_i copies of the "
        "limit under the same noise",
        "restated; the proof open in the version read",
        ("P1",),
        "as it is restated the right side is zero for tokens that start on their copies, as P1's do; these part like "
        "n^(-1/2), so that a sampling term C_T/n is missing. On S^2 only",
    ),
)
