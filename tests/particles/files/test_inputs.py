"""Input files: what is wrong with them becomes one line, before anything large is read."""

import re

import netCDF4
import numpy as np
import pytest

from particles.files import inputs as input_files
from particles.files.closure import closure_from_file
from particles.files.inputs import numbers, open_input
from particles.files.layers import read_heads, read_layers, read_tokens
from particles.machine import memory

HUGE = 10**10


def tokens(path, points=((1.0, 0.0), (0.0, 1.0)), kind="f8", **attrs):
    """A tokens file; attributes of `tokens` besides."""
    values = np.array(points)
    with netCDF4.Dataset(path, "w") as file:
        for name, size in zip(("token", "component"), values.shape, strict=True):
            file.createDimension(name, size)
        endian = "big" if kind.startswith(">") else "native"
        variable = file.createVariable("tokens", kind, ("token", "component"), endian=endian)
        variable.set_auto_maskandscale(False)
        for name, value in attrs.items():
            variable.setncattr(name, value)
        variable[...] = values
    return path


def declared(path, *dims, name="tokens"):
    """A file that declares a variable with huge dimensions and holds nothing of it."""
    with netCDF4.Dataset(path, "w") as file:
        for dim in dims:
            file.createDimension(dim, HUGE)
        file.createVariable(name, "f8", dims, chunksizes=[1024] * len(dims), fill_value=False)
    return path


@pytest.mark.parametrize("kind", [">f8", "f4", ">f4", "i4", "u1"])
def test_numbers_of_any_kind_are_read(kind, tmp_path):
    assert np.array_equal(read_tokens(tokens(tmp_path / "t.nc", kind=kind)).points, np.eye(2))


@pytest.mark.parametrize(
    ("dims", "name", "told"),
    [
        (("token", "component"), "tokens", "variable tokens of shape (10000000000, 10000000000): needs about 2.2e+09"),
        (("token",), "tokens", "variable tokens of shape (10000000000,): needs about 224 GiB of memory, 8 GiB are"),
        (("tokens",), "tokens", "coordinate tokens of shape (10000000000,): needs about 224 GiB"),
        (("step",), "step", "coordinate step of shape (10000000000,): needs about 224 GiB of memory"),
    ],
)
def test_what_does_not_fit_is_refused_before_it_is_read(dims, name, told, tmp_path, monkeypatch):
    monkeypatch.setattr(memory, "available", lambda: 8 << 30)
    monkeypatch.setattr(input_files, "examine", lambda path: None)  # which refuses them for the size of the file
    path = declared(tmp_path / "t.nc", *dims, name=name)
    with pytest.raises(ValueError, match=re.escape(f"{path}: {told}")):
        read_tokens(path)


@pytest.mark.parametrize(
    ("attrs", "told"),
    [
        ({"scale_factor": "a"}, "variable tokens cannot be read (UFuncTypeError)"),
        ({"add_offset": 1e300}, "tokens must be unit vectors; token 0 has length inf"),
        ({"_FillValue": 1.0}, "tokens must be finite, got nan"),
    ],
)
def test_attributes_that_spoil_the_numbers_are_told(attrs, told, tmp_path):
    path = tmp_path / "t.nc"
    if "_FillValue" in attrs:
        with netCDF4.Dataset(path, "w") as file:
            file.createDimension("token", 2), file.createDimension("component", 2)
            file.createVariable("tokens", "f8", ("token", "component"), fill_value=1.0)[...] = np.eye(2)
    else:
        tokens(path, **attrs)
    with pytest.raises(ValueError, match=re.escape(f"{path}: {told}")):  # and no warning, which would be an error here
        read_tokens(path)


@pytest.mark.parametrize(
    "attrs",
    [
        {"units": "days since 2000-01-01"},
        {"units": "days since the flood", "calendar": "moon"},
        {"dtype": "timedelta64[ns]"},
        {"coordinates": "tokens nowhere"},
        {"comment": "__import__('os').system('touch X')"},
        {"comment": "!!python/object/apply:os.system ['touch X']"},
    ],
)
def test_attributes_are_only_text(attrs, tmp_path, monkeypatch):
    """No dates are made of numbers, and nothing is run."""
    monkeypatch.chdir(tmp_path)
    assert np.array_equal(read_tokens(tokens(tmp_path / "t.nc", **attrs)).points, np.eye(2))
    assert [path.name for path in tmp_path.iterdir()] == ["t.nc"]


def test_a_file_of_another_kind_is_not_opened(tmp_path):
    """A pickle that would make a file, the beginnings of other formats, a folder, nothing."""
    readers = (read_layers, read_heads, read_tokens, closure_from_file)
    path = tmp_path / "x.nc"
    foreign = (b"cposix\nsystem\n(S'touch X'\ntR.", b"\x89HDF\r\n\x1a\n", b"CDF\x01", b"\x93NUMPY\x01\x00", b"PK")
    for content in foreign:
        path.write_bytes(content)
        for read in readers:
            with pytest.raises(ValueError, match=r"x\.nc: not a readable NetCDF file \(OSError\)"):
                read(path)
    with pytest.raises(ValueError, match="is a folder, not a file"):
        read_tokens(tmp_path)
    with pytest.raises(ValueError, match="no such file"):
        read_tokens(tmp_path / "y.nc")
    assert not (tmp_path / "X").exists()


def test_strings_and_missing_variables_are_told(tmp_path):
    path = tmp_path / "t.nc"
    with netCDF4.Dataset(path, "w") as file:
        file.createDimension("token", 2)
        file.createVariable("tokens", str, ("token",))[...] = np.array(["a", "b"], dtype=object)
    with pytest.raises(ValueError, match=r"t\.nc: tokens must hold real numbers, got"):
        read_tokens(path)
    with open_input(path) as dataset, pytest.raises(ValueError, match="variable mass is missing; has tokens"):
        numbers(dataset, "mass", path)
