"""Numbers with errors: means and fits of replicas, expectations on levels, orders of convergence."""

from validation.estimates.fits import Fitted, LinearFit, exponent, limit
from validation.estimates.ladder import Order
from validation.estimates.level_sums import LevelSum, allocation, believed, bias_of
from validation.estimates.levels import TokenLevels
from validation.estimates.multilevel import Coupled, Expectation, Measured, figure, multilevel, plain
from validation.estimates.orders import common_part, order_of_distances, order_of_gaps, order_of_shifts, squares
from validation.estimates.statistics import (
    Estimate,
    Line,
    Slope,
    columns,
    control_mean,
    half_unit,
    replica_mean,
    root_mean,
    share,
    slope,
    until,
)

__all__ = [
    "Coupled", "Estimate", "Expectation", "Fitted", "LevelSum", "Line", "LinearFit", "Measured", "Order", "Slope",
    "TokenLevels", "allocation", "believed", "bias_of", "columns", "common_part", "control_mean", "exponent", "figure",
    "half_unit", "limit", "multilevel", "order_of_distances", "order_of_gaps", "order_of_shifts", "plain",
    "replica_mean", "root_mean", "share", "slope", "squares", "until",
]  # fmt: skip
