"""What a run has said: each kind of warning once."""

import warnings
from dataclasses import dataclass, field


@dataclass(eq=False)
class Said:
    """The kinds of warnings that a run has given."""

    kinds: set[str] = field(default_factory=set)

    def warn(self, kind: str, text: str) -> None:
        """Warn once per run and kind."""
        if kind not in self.kinds:
            self.kinds.add(kind)
            warnings.warn(text, RuntimeWarning, stacklevel=4)

    def copy(self) -> "Said":
        """For a way on from here: what it says is not said for another one."""
        return Said(set(self.kinds))
