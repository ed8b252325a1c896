"""Stationary laws of an interaction with private noise: branches, stability, free energies, transitions."""

from particles.stationary.branches import Branch, follow
from particles.stationary.secondary import secondaries
from particles.stationary.stability import Rates
from particles.stationary.state import StationaryState, onset, uniform_rates, uniform_state

__all__ = ["Branch", "Rates", "StationaryState", "follow", "onset", "secondaries", "uniform_rates", "uniform_state"]
