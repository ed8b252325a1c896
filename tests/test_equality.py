"""Objects that hold arrays are equal only to themselves: comparing arrays entry by entry has no truth value."""

import dataclasses
import importlib
import inspect
import pkgutil

import pytest

import particles
import spde

HOLDS_ARRAYS = ("Array", "Coefficients", "ndarray", "Cloud", "Tokens")


def classes():
    """Every dataclass of the model and of the solver with a field that is an array or made of arrays."""
    found = {}
    for package in (particles, spde):
        for module in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
            for _, one in inspect.getmembers(importlib.import_module(module.name), inspect.isclass):
                if one.__module__ != module.name or not dataclasses.is_dataclass(one):
                    continue
                kinds = [str(field.type) for field in dataclasses.fields(one) if "Callable" not in str(field.type)]
                if any(name in kind for kind in kinds for name in HOLDS_ARRAYS):
                    found[f"{one.__module__}.{one.__qualname__}"] = one
    return found


@pytest.mark.parametrize("one", classes().values(), ids=classes())
def test_what_holds_arrays_is_equal_only_to_itself(one):
    assert one.__eq__ is object.__eq__
    assert one.__hash__ is object.__hash__


def test_such_classes_are_found():
    assert "particles.heads.FixedHeads" in classes()
    assert len(classes()) > 20
