"""Colours of densities as one byte: code = first + (255 - first) (density/top)^power, and what a colour bar says."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from tokenlaw.drawing import colormaps, to_hex
from tokenlaw.globes import NEGATIVE, NEGATIVE_SHARE, POWER, SPREAD, below
from tokenlaw.globes import top as largest_of

Array = npt.NDArray[np.float64]

TABLE = 255  # largest code of a colour
BESIDE = 0.8  # share of the width that is left of the colour bar
FIRST = 12  # code of density 0 where some values are negative: lower codes have the colour of negative values


@dataclass(frozen=True)
class Scale:
    """Colours of densities from 0 to `top`: code = first + (255 - first) (density/top)^power, 0 for negative ones."""

    top: float
    power: float
    first: int

    @classmethod
    def of(cls, fields: Sequence[Array]) -> Scale:
        """One scale for all records, with a power where their largest densities differ much."""
        largest = [largest_of(field) for field in fields]
        top = max(*largest, 1e-300)
        negative = any(map(below, fields))
        return cls(top, POWER if top > SPREAD * max(min(largest), 1e-300) else 1.0, FIRST if negative else 0)

    def codes(self, field: Array) -> npt.NDArray[np.uint8]:
        """Codes of densities; those below -NEGATIVE_SHARE of the largest get 0, other negative values that of 0.

        What is not known has the code of 0, too; no place is drawn there.
        """
        field = np.where(np.isnan(field), 0.0, field)
        share = np.clip(np.clip(field, 0.0, self.top) / self.top, 0.0, 1.0) ** self.power
        codes = self.first + np.round((TABLE - self.first) * share)
        if self.first:
            codes = np.where(field < -NEGATIVE_SHARE * max(field.max(), 0.0), 0.0, codes)
        return codes.astype(np.uint8)

    def colours(self) -> list[list[Any]]:
        """Colour table of plotly: viridis from density 0 on."""
        begin = self.first / TABLE
        table = [[begin + (1 - begin) * t, to_hex(colormaps["viridis"](t))] for t in np.linspace(0, 1, 33)]
        return [[0.0, NEGATIVE], [0.75 * begin, NEGATIVE], *table] if self.first else table

    def bar(self) -> dict[str, Any]:
        """Colour bar with densities as tick labels."""
        step = 10.0 ** np.floor(np.log10(self.top))
        candidates = [m * step * 10.0**e for e in range(-4, 1) for m in (1, 2, 5)] if self.power < 1 else [
            k * step * next(f for f in (0.1, 0.2, 0.5, 1, 2) if self.top / (f * step) < 7) for k in range(1, 8)
        ]  # fmt: skip
        ticks, places = [0.0], [float(self.first)]
        for value in sorted(candidates):
            place = self.first + (TABLE - self.first) * min(value / self.top, 1.0) ** self.power
            if value <= self.top and place > places[-1] + 16:
                ticks.append(value)
                places.append(place)
        labels = [f"{tick:.3g}" for tick in ticks]
        if self.first:
            places, labels = [0.0, *places], ["negative", *labels]
        note = f"<br>scale: power {self.power:g}" if self.power != 1 else ""
        title = {"text": f"density ρ<br>(per unit area of S²){note}", "side": "top"}
        return {
            "tickvals": places,
            "ticktext": labels,
            "title": title,
            "len": 0.8,
            "thickness": 16,
            "x": BESIDE + 0.02,
            "xanchor": "left",
        }
