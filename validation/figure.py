"""What studies want drawn; tokenlaw draws it."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Series:
    """One curve or set of points: x, y and standard errors of y; `line` joins the points, `dashed` marks theory."""

    label: str
    x: Any
    y: Any
    error: Any = None
    line: bool = True
    dashed: bool = False


@dataclass(frozen=True)
class Figure:
    """What a study wants drawn."""

    x_label: str
    y_label: str
    series: tuple[Series, ...]
    x_log: bool = False
    y_log: bool = False
