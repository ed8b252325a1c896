"""Pages from templates: whatever text stands in a file, it is text in the page."""

from functools import cache
from importlib import resources
from typing import Any

from jinja2 import Environment, FunctionLoader, StrictUndefined
from markupsafe import Markup

__all__ = ["asset", "rendered"]


def rendered(template: str, /, **values: Any) -> str:
    """The page of a template of this package; all values are escaped."""
    return _environment().get_template(template).render(values)


def asset(name: str) -> Markup:
    """A file of this package that stands in a page as it is: a style, a script."""
    return Markup(_text(name))


def _text(name: str) -> str:
    return resources.files("tokenlaw.pictures").joinpath(name).read_text(encoding="utf-8")


@cache
def _environment() -> Environment:
    found = Environment(loader=FunctionLoader(_text), autoescape=True, undefined=StrictUndefined,
                        trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True)  # fmt: skip
    found.policies["json.dumps_kwargs"] = {"separators": (",", ":"), "allow_nan": False}
    return found
