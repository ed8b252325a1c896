"""The table of claims.  Each is stated by the module of its study, validation/studies/<name>_<what>.py."""

import pkgutil
import re
from importlib import import_module

from validation import studies
from validation.verdict import Claim

FAMILIES = "DPSLMVCTANE"  # in the order in which they are told


def collected() -> dict[str, Claim]:
    """The claims of all modules whose names begin like d1_, by name."""
    found = [entry.name for entry in pkgutil.iter_modules(studies.__path__) if re.match(r"[a-z]\d+_", entry.name)]
    claims: list[Claim] = [import_module(f"{studies.__name__}.{name}").CLAIM for name in found]
    claims.sort(key=lambda claim: ((FAMILIES + claim.name).index(claim.name[0]), int(claim.name[1:])))
    return {claim.name: claim for claim in claims}


CLAIMS = collected()
