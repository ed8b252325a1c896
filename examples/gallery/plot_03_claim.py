"""
A published claim, tested
=========================

For A = W W'ᵀ with Gaussian factors of many columns, E⟨nrm(Ax), nrm(Ay)⟩ = R + c (R³ − R)/d to first order in
1/d. As reported c is 1/2 whatever the inner dimension of the head; derived here is c = (1 + d/head_dim)/2.
``tokenlaw validate L1 --quick`` runs this study and writes the page of verdicts.
"""

from tokenlaw.pictures.studies import draw
from validation import CLAIMS

claim = CLAIMS["L1"]
findings = claim.run(quick=True, seed=0)
print(f"{claim.name}, {claim.title}: {findings.verdict}")
for part in findings.parts.values():
    print(f"  {part.text}: {part.estimate:.3f} ± {part.error:.3f}, predicted {part.predicted}, "
          f"derived {part.corrected}: {part.verdict}")  # fmt: skip

# %%
# *corrected* says that the numbers are far from what was published and near to what is derived, and that the
# difference is so large that it could not have been missed.

figure = draw(findings.figure, f"{claim.name}: {claim.title}")
