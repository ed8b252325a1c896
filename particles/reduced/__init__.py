"""Exact one-dimensional and closed-form laws of random transformers.  mathematics, sections 4 and 5."""

from particles.reduced.architecture import Architecture, MLPKernel
from particles.reduced.exact import (
    angular_gaussian,
    angular_gaussian_second_moment,
    averaged_length,
    conformal_mean,
    conformal_step,
    equiangular_overlap,
    equiangular_rate,
    linear_step,
)
from particles.reduced.forecasting import Forecast, forecast
from particles.reduced.frozen import FrozenUniform, frozen_uniform
from particles.reduced.gaussian_closure import ClosedAttention
from particles.reduced.isotropic import (
    IsotropicNoise,
    Kernel,
    angle_exponent,
    decay_rate,
    mean_exponent,
    overlap_energy_rate,
)
from particles.reduced.low_temperature import (
    LowTemperatureLimit,
    kappa,
    low_temperature_exponent,
    mean_over_sample_correlation,
    one_factor_cosine,
    two_factor_cosine,
)
from particles.reduced.mean_overlap import logistic_overlap, mean_overlap_drift, mean_overlap_variance
from particles.reduced.overlap import OverlapDiffusion, collapse_exponent, overlap_drift, overlap_variance
from particles.reduced.quadratic_form import QuadraticForm
from particles.reduced.simplex import Estimate, Simplex, SimplexStatistics
from particles.reduced.spectrum import SpectralGap, spectral_gap
from particles.reduced.two_token import TwoTokens
from particles.reduced.values_only import ValuesOnly

__all__ = [
    "Architecture", "ClosedAttention", "Estimate", "Forecast", "FrozenUniform", "IsotropicNoise", "Kernel",
    "LowTemperatureLimit", "MLPKernel", "OverlapDiffusion", "QuadraticForm", "Simplex", "SimplexStatistics",
    "SpectralGap", "TwoTokens", "ValuesOnly", "angle_exponent", "angular_gaussian",
    "angular_gaussian_second_moment", "averaged_length", "collapse_exponent", "conformal_mean",
    "conformal_step", "decay_rate", "equiangular_overlap", "equiangular_rate", "forecast", "frozen_uniform",
    "kappa", "linear_step", "logistic_overlap", "low_temperature_exponent", "mean_exponent",
    "mean_over_sample_correlation", "mean_overlap_drift", "mean_overlap_variance", "one_factor_cosine",
    "overlap_drift", "overlap_energy_rate", "overlap_variance", "spectral_gap", "two_factor_cosine",
]  # fmt: skip
