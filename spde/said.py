"""What a run has said: each kind of warning once."""

import math
import warnings
from dataclasses import dataclass, field


@dataclass(eq=False)
class Said:
    """The kinds of warnings that a run has given, and the free energy at its last record."""

    kinds: set[str] = field(default_factory=set)
    free_energy: float = math.inf

    def warn(self, kind: str, text: str) -> None:
        """Warn once per run and kind."""
        if kind not in self.kinds:
            self.kinds.add(kind)
            warnings.warn(text, RuntimeWarning, stacklevel=4)

    def copy(self) -> "Said":
        """For a way on from here: what it says is not said for another one."""
        return Said(set(self.kinds), self.free_energy)

    def anew(self) -> "Said":
        """For a run that begins again: what was said is not said again, what was seen has not been seen yet."""
        return Said(set(self.kinds))
