"""What a constructor raises where an argument is wrong."""

from typing import Any


class ArgumentError(ValueError):
    """An argument with a value that is not allowed: "NAME must ALLOWED, got VALUE".

    Whoever made the argument of something else, a key of a configuration for one, puts its own name in place of `name`.

    Attributes
    ----------
    name : of the argument.   value : what was given.   allowed : what it must be, a phrase that follows "must".
    """

    def __init__(self, name: str, value: Any, allowed: str) -> None:
        super().__init__(name, value, allowed)
        self.name, self.value, self.allowed = name, value, allowed

    def __str__(self) -> str:
        shown = f'"{self.value}"' if isinstance(self.value, str) else self.value
        return f"{self.name} must {self.allowed}, got {shown}"
