"""Energies of a density under an equation of one's own, as variables of its file.  mathematics, section 10.

    F = E + nu int rho log rho,     dF/dt = -int rho |b - nu grad log rho|^2     without common noise, b = -grad dE/dmu.
"""

import numpy as np

from particles import Cloud, FieldFactory, LayerLaw, tangent
from particles.attention import field_of
from particles.equations import Equation, series_gradient
from particles.layers import Telling, Variables
from spde.density import Density

FLOOR = 1e-12  # share of the largest density below which log rho is left out: the series has no digits there


def energies(law: LayerLaw, density: Density, field: FieldFactory, entropy: float | None = None) -> Variables:
    """Variables of a record: what the law says of the carried nodes; of an `Equation` entropy and free energy too.

    Dissipation, and the entropy where it is not given, are integrals over the grid, right as long as lmax resolves the
    density.
    """
    found = law.variables(density.nodes) if isinstance(law, Telling) else {}
    if not isinstance(law, Equation):
        return found
    entropy = entropy_of(density) if entropy is None else entropy
    found["entropy"] = ((), np.asarray(entropy), "entropy, minus the mean of the log of the density")
    if "interaction_energy" in found:
        free = float(found["interaction_energy"][1]) - law.nu * entropy
        found["free_energy"] = ((), np.asarray(free), "interaction energy minus nu times the entropy")
        text = "rate at which drift and private noise lower the free energy"
        found["dissipation"] = ((), np.asarray(dissipation(law, density, field)), text)
    return found


def energies_of_tokens(law: LayerLaw, tokens: Cloud, field: FieldFactory) -> Variables:
    """What the law says of tokens beside a density; without private noise the rate at which their energy falls, too.

    Tokens have no entropy, and none of what is made of it: their law is a sum of points.
    """
    told = law.variables(tokens) if isinstance(law, Telling) else {}
    found = {f"tokens_{name}": (dims, values, f"{text}, of the tokens") for name, (dims, values, text) in told.items()}
    if isinstance(law, Equation) and not law.nu and law.descent is not None:
        velocity = tangent(tokens.points, field_of(field, law.descent, tokens, len(tokens.points))(tokens.points))
        rate = tokens.weights @ np.einsum("ij,ij->i", velocity, velocity)
        found["tokens_dissipation"] = ((), np.asarray(rate), "rate at which drift lowers the energy of the tokens")
    return found


def entropy_of(density: Density) -> float:
    """-int rho log rho over the grid; log |S| for the uniform law, the largest."""
    values, area = density.grid_values.ravel(), density.sphere.weights
    seen = values > FLOOR * density.maximum
    return -float(area[seen] @ (values[seen] * np.log(values[seen])))


def dissipation(law: Equation, density: Density, field: FieldFactory) -> float:
    """int rho |b - nu grad log rho|^2 over the grid; NaN where the drift has no energy."""
    push, sphere, values = law.descent, density.sphere, density.grid_values.ravel()
    if push is None:
        return np.nan
    seen = values > FLOOR * density.maximum
    points = np.ascontiguousarray(sphere.points[seen])
    velocity = tangent(points, field_of(field, push, density.nodes, len(points))(points))
    if law.nu:
        velocity -= law.nu * series_gradient(density.coefficients, points) / values[seen, None]
    return float((sphere.weights[seen] * values[seen]) @ np.einsum("ij,ij->i", velocity, velocity))
