"""The table of claims: what is claimed, by whom, and the study that decides.

A study is a module validation/studies/<name>.py with a function `study(quick, seed) -> Findings`; it is imported when
it is run.
"""

from dataclasses import dataclass
from importlib import import_module

from validation.verdict import Findings


@dataclass(frozen=True)
class Claim:
    """A published statement.

    Attributes
    ----------
    name : short name, as used on the command line.   title : in a few words.
    text : the claim in words and formula.
    source : authors and arXiv number; "as reported" where known at second hand.
    correction : what was derived here where it differs, or "".
    """

    name: str
    title: str
    text: str
    source: str
    correction: str = ""

    @property
    def module(self) -> str:
        """Dotted name of the study."""
        return f"validation.studies.{self.name.lower()}"

    def run(self, *, quick: bool, seed: int) -> Findings:
        """Run the study; `quick` takes seconds, the full size minutes."""
        findings: Findings = import_module(self.module).study(quick, seed)
        return findings


HOMOGENIZED = "Koubbi, Geshkovski and Rigollet 2604.01978, as reported"
BLOCKS = "Agazzi, Bruno, Mosig Garcia, Saviozzi and Romito 2604.26898, as reported"
CLOSURES = "Castin, Ablin, Carrillo and Peyre 2501.18322, as reported"
VALUES_ONLY = "Fedorov et al. 2601.21942, as reported"

CLAIMS: dict[str, Claim] = {
    claim.name: claim
    for claim in (
        Claim(
            "D1",
            "weak error of the chain",
            "expectations of the chain differ from those of its diffusive limit by O(eta) at fixed noise scale with "
            "drift, and by O(eta^2/H) for centred heads",
            HOMOGENIZED,
        ),
        Claim(
            "D2",
            "rate of the modified equation",
            "the modified equation, ballistic with the corrector -(eta/2) nabla_b b, follows the chain with an error "
            "of order eta max(eta, alpha), alpha = eps sigma^2, at all times",
            HOMOGENIZED,
            "so it is with all of mathematics (3), and at grid times; for random heads in the mean, with noise; with "
            "-(eta/2) nabla_b b alone, or between grid times for a piecewise constant chain, the error is of order eta",
        ),
        Claim(
            "D3",
            "rate of the ballistic limit",
            "the ballistic limit dX = b dt follows the chain with an error of order eta max(eta, alpha)",
            HOMOGENIZED,
            "without corrector the error is of order max(eta, alpha)",
        ),
        Claim(
            "D4",
            "drift of heads whose values have a mean",
            "the limit of chains that normalise has the drift b, and b - (eta/2) nabla_b b to the next order",
            HOMOGENIZED,
            "nrm(x + U) adds -eps P K(x, x) x to the limit and -eta <x, u> b to the corrector",
        ),
        Claim(
            "P1",
            "propagation of chaos",
            "n random tokens stay within n^(-1/2) of the flow of the limit law, in root mean square: the coupled "
            "distance of each token to its twin falls with slope -1/2 in n at every fixed depth time",
            HOMOGENIZED,
        ),
        Claim(
            "S1",
            "simplex equation",
            "the overlap g of equiangular tokens under centred Gaussian heads drifts by s_ij - g s_ii, "
            "s_ii = g + (1 - g) f, s_ij = g + (1 - g) h with the attention statistics f and h",
            HOMOGENIZED,
            "this is the limit d -> infinity; at finite d the drift is ((d - 2 + g^2) s_ij - (d - 1) g s_ii)/d, "
            "lower by O(1/d)",
        ),
        Claim(
            "S2",
            "logistic law of the mean overlap",
            "at beta = 0 the mean overlap follows w' = w (1 - w) as d -> infinity: its mean within O(1/d), single "
            "paths within O(d^-1/2)",
            HOMOGENIZED,
        ),
        Claim(
            "L1",
            "two-factor cosine lemma",
            "for A = W W'^T, E<nrm(Ax), nrm(Ay)> = R + (1/2) (R^3 - R)/d + O(d^-2)",
            HOMOGENIZED,
            "the coefficient is (1 + d/head_dim)/2: 1 at head_dim = d; 1/2 belongs to A of independent entries",
        ),
        Claim(
            "L2",
            "kappa of the low-temperature limit",
            "for A = W W'^T the overlap of two tokens tends to du = -kappa u (1 - u^2) ds + sqrt(2) (1 - u^2) dB with "
            "kappa = 1",
            HOMOGENIZED,
            "kappa = 3/2 + d/(2 head_dim): 2 at head_dim = d, where the limit is critical; 3/2 for A of independent "
            "entries",
        ),
        Claim(
            "L3",
            "collapse at low temperature",
            "for A = W W'^T two tokens meet at low temperature whatever head_dim: log(1 - R) falls at the rate "
            "(2 kappa - 4)/d = -2/d, kappa = 1",
            HOMOGENIZED,
            "the exponent is ((d - 3) J - (d - 1))/d, J = (d - 1)(head_dim - 1)/((d - 2)(head_dim - 2)): for d >= 4 no "
            "collapse below head_dim = d - 1",
        ),
        Claim(
            "M1",
            "synchronisation by random MLP blocks",
            "two close tokens have the exponents lambda_1 = (d-3)/2 k'(1) - (d-1)/2 k(1) of the angle and "
            "lambda_bar = (d-1) k'(1) - (d-3) k(1) of E(1 - R), with the values of the table; lambda_bar < 0 is "
            "sufficient for synchronisation, and not necessary",
            BLOCKS,
        ),
        Claim(
            "M2",
            "odd kernels",
            "under blocks with an odd activation and no biases tokens end in two clusters opposite each other: "
            "|R| -> 1, R -> -1 with a probability that the scale function gives",
            BLOCKS,
        ),
        Claim(
            "V1",
            "antipodal pairs with random values only",
            "two tokens under heads with A = I and random values end opposite each other with positive probability iff "
            "cosh(2 beta) > d - 2",
            VALUES_ONLY,
        ),
        Claim(
            "C1",
            "Gaussian closures",
            "under softmax, L2 and Sinkhorn attention tokens in R^d with a Gaussian law keep one, whose mean and "
            "covariance obey closed equations",
            CLOSURES,
        ),
        Claim(
            "C2",
            "blow-up time",
            "under softmax attention with V = I the covariance of Gaussian tokens is infinite at "
            "1/lambda_max(S_0^(1/2) (A + A^T) S_0^(1/2)) where that is positive",
            CLOSURES,
        ),
        Claim(
            "C3",
            "covariances of low rank",
            "covariances of Gaussian tokens tend to matrices of low rank: under softmax, L2 and Sinkhorn attention, "
            "V = I and A = -K^T K of rank r to one of rank d - r, r eigenvalues falling like 1/t; under softmax it is "
            "N (N^T S_0^-1 N)^-1 N^T, N a basis of the kernel of K",
            CLOSURES + "; this precise form is derived here",
        ),
        Claim(
            "T1",
            "low temperature",
            "the law under fixed heads is within sqrt(log(beta + 1)/beta) e^{Ct} + e^{-ct} of the projection on the "
            "top eigenspace of V",
            "Alcalde, Bungert, Riedl and Roith 2605.10931, as reported",
            "a bound, and one that smooth densities do not reach: at fixed depth time they are within O(1/beta) of the "
            "flow of beta = infinity",
        ),
        Claim(
            "T2",
            "finite depth and heads",
            "a transformer of L layers and H heads is within L^-1 + L^-1/3 H^-1/2 of its limit in L2",
            "Gibson and Reisinger 2605.11059, as reported",
            "with heads independent from layer to layer the second term is (L H)^-1/2",
        ),
    )
}
