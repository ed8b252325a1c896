"""What is raised where an argument is wrong, or a call is not the one that there is."""

import inspect
from collections.abc import Callable
from functools import wraps
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


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


def called(how: str) -> Callable[[Callable[P, T]], Callable[P, T]]:
    """Decorator of a function whose arguments are easily mistaken: a call that does not fit is told how it is called.

    Raises
    ------
    TypeError : the arguments do not fit; what does not, then `how`.
    """

    def around(function: Callable[P, T]) -> Callable[P, T]:
        @wraps(function)
        def checked(*args: P.args, **kwargs: P.kwargs) -> T:
            try:
                return function(*args, **kwargs)
            except TypeError:
                try:
                    inspect.signature(function).bind(*args, **kwargs)
                except TypeError as error:
                    raise TypeError(f"{function.__name__}(): {error}; {how}") from None
                raise

        return checked

    return around


def made(how: str) -> Callable[[type[T]], type[T]]:
    """The same for the constructor of a class."""

    def around(cls: type[T]) -> type[T]:
        made = cls.__init__
        made.__name__ = cls.__name__
        cls.__init__ = called(how)(made)  # type: ignore[method-assign]
        return cls

    return around
