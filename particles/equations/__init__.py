"""Equations of one's own: terms that say what they are, and a law of layers made of them."""

from particles.equations.common import CommonNoise, Isotropic, Kicks, Rotations, VectorFields
from particles.equations.controlled import Controlled
from particles.equations.drifts import Attention, Drift, Function, Gradient, Pull, Rotation, Zonal, ZonalPush
from particles.equations.energy import attention_energy, self_energy
from particles.equations.interactions import (
    Dot,
    Exponential,
    Interaction,
    Legendre,
    MaierSaupe,
    OfOverlap,
    multipliers,
)
from particles.equations.law import Equation
from particles.equations.series import series_gradient
from particles.equations.steps import INTERPRETATIONS, STEPPINGS, ito, stratonovich
from particles.layers.schemes import ExponentialRungeKutta4, Heun

__all__ = [
    "INTERPRETATIONS", "STEPPINGS", "Attention", "CommonNoise", "Controlled", "Dot", "Drift", "Equation", "Exponential",
    "ExponentialRungeKutta4", "Function", "Gradient", "Heun", "Interaction", "Isotropic", "Kicks", "Legendre",
    "MaierSaupe", "OfOverlap", "Pull", "Rotation", "Rotations", "VectorFields", "Zonal", "ZonalPush",
    "attention_energy", "ito", "multipliers", "self_energy", "series_gradient", "stratonovich",
]  # fmt: skip
