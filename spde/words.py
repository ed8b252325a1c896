"""What a density run says of itself: one text for each thing that was found; none promises what was not looked at."""

from collections.abc import Sequence

from spde.resolution import DEFECT_LIMIT, LOCAL_LIMIT, NEGATIVE_LIMIT, NEGATIVE_MASS_LIMIT, Resolution
from spde.said import Said
from spde.watch import DEFECT_HINT, FIELD_HINT, WatchedField

RISE = 1e-7  # of the free energy, over its size, from which on a rise is told
GIVEN = 10  # error of the moments, in moment_tol, from which on nodes that were given are called too few
STEP = "raise lmax, or lower dt where layers.stepping is exponential"  # the series is not cut too early


def of_a_layer(said: Said, fields: Sequence[WatchedField], folded: int, step: int) -> None:
    """Look at the fields of a layer, and at how many carried nodes it folds the sphere at."""
    if any(one.longest > 1 for one in fields):
        said.warn(
            "long",
            f"layer {step} moves points by more than 1 (|U| > 1): the map may fold, and then no "
            "representation converges; lower dt (of transformer layers: eta)",
        )
    if folded:
        said.warn(
            "fold",
            f"layer {step} folds the sphere at {folded} carried nodes (det DT <= 0): the density there "
            "is a sum over branches, of which node_log_density has one; lower dt",
        )


def of_a_record(
    said: Said,
    found: Resolution,
    depth_time: float,
    *,
    field_error: float,
    moment_tol: float,
    chosen: bool,
    local: bool,
) -> None:
    """Look at a state that is recorded.

    Parameters
    ----------
    field_error : what the tolerance of the field cost in the low moments.   moment_tol : what they should be right to.
    chosen : whether the carried nodes were chosen here.   local : whether values at a point are spoken of, too.
    """
    at, known = f"at depth time {depth_time:g}", max(found.moments, 0.0) + field_error  # NaN is no larger than 0
    if field_error > FIELD_HINT:
        said.warn("field", f"the field loses digits {at} (moments, estimate {field_error:.1e}); lower field_tol")
    limit = moment_tol if chosen else GIVEN * moment_tol
    only = f"mean and second moment are known to about {found.moments:.1e} only {at} (moment_tol {moment_tol:.0e})"
    if found.nodes > limit:
        advice = "no finer nodes are chosen: give carried_nodes, or raise moment_tol"
        said.warn("nodes", f"{only}, by two sets of carried nodes; " + (advice if chosen else "raise carried_nodes"))
    elif found.clipped > GIVEN * moment_tol:
        said.warn("clipped", f"{only}, the mass of the negative part, which carried nodes leave out; raise lmax")
    if local:
        for kind, text in _at_a_point(found, at):
            said.warn(kind, text + _moments(found, known))


def of_free_energy(said: Said, now: float, depth_time: float) -> None:
    """Look at the free energy of a record of a run without common noise: it falls along every solution."""
    before, said.free_energy = said.free_energy, now
    if now > before + RISE * max(1.0, abs(now)):
        said.warn(
            "energy",
            f"the free energy rises by {now - before:.1e} up to depth time {depth_time:g}, which no solution without "
            "common noise does; lower dt, or raise lmax",
        )


def _moments(found: Resolution, known: float) -> str:
    """What is known of the moments beside a density that is lost at a point; nothing where nothing is known."""
    if found.moments != found.moments:
        return ""
    return f"; mean and second moment, of the carried nodes, are known to about {known:.0e}"


def _at_a_point(found: Resolution, at: str) -> list[tuple[str, str]]:
    """Kinds and texts of what is wrong with values at a point."""
    texts = []
    if not found.truncation <= LOCAL_LIMIT:
        texts.append(
            f"the series is cut too early: values may be off by {found.truncation:.1g} of the maximum; raise lmax"
        )
    elif not found.negative <= NEGATIVE_LIMIT:
        texts.append(f"its minimum is {-found.negative:.1g} of its maximum; {STEP}")
    elif not found.negative_mass <= NEGATIVE_MASS_LIMIT:
        texts.append(f"the mass of its negative part is {found.negative_mass:.1g}; {STEP}")
    if found.field > LOCAL_LIMIT:
        texts.append(
            f"the carried nodes are too few for the field: values may be off by {found.field:.1g} of the maximum; "
            "raise carried_nodes"
        )
    if not texts and not found.defect <= DEFECT_LIMIT:
        texts.append(f"its low moments differ from those of the carried nodes by {found.defect:.1e}; {_which(found)}")
    if texts:
        return [("unresolved", f"the pointwise density is not resolved {at}: " + "; ".join(texts))]
    if found.defect > DEFECT_HINT:
        text = f"the low moments of coefficients and carried nodes differ by {found.defect:.1e} {at}; {_which(found)}"
        return [("defect", text)]
    return []


def _which(found: Resolution) -> str:
    """What to raise where coefficients and carried nodes differ: what two sets of nodes say of the nodes."""
    return "raise carried_nodes" if found.nodes > found.defect / 3 else "raise lmax"
