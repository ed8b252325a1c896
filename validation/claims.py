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
            "P1",
            "propagation of chaos",
            "n random tokens stay within n^(-1/2) of the flow of the limit law, in root mean square: the coupled "
            "distance of each token to its twin falls with slope -1/2 in n at every fixed depth time",
            HOMOGENIZED,
        ),
    )
}
