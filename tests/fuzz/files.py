"""Input files: whole NetCDF files of layers, heads, tokens and densities, and what can be wrong with them."""

import contextlib
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import netCDF4
import numpy as np
from hypothesis import strategies as st

HUGE = 10**10
TYPES = (">f8", "<f4", ">f4", "i1", "i2", "<i4", ">i4", "<i8", "u1", "u8", "S1", "str", "vlen", "compound", "enum")
ENTRIES = (float("nan"), float("inf"), -float("inf"), 0.0, -1.0, 5e-324, 1e-300, 1e150, 1e300, 1.0, 2.0,
           9.969209968386869e36)  # fmt: skip


@dataclass
class Variable:
    """A variable to be written: names of its dimensions, values, type, attributes."""

    dims: tuple[str, ...]
    values: Any
    kind: str = "<f8"
    attrs: dict[str, Any] = field(default_factory=dict)
    empty: bool = False  # declared with huge sizes, nothing written


@dataclass
class Content:
    """A NetCDF file to be written."""

    variables: dict[str, Variable]
    attrs: dict[str, Any] = field(default_factory=dict)
    form: str = "NETCDF4"
    group: str = ""
    changes: list[str] = field(default_factory=list)

    def write(self, path: Path) -> None:
        """Write it; what the format itself forbids is left out."""
        with tempfile.TemporaryDirectory() as folder:  # the library may go on with a file that it could not finish
            draft = Path(folder) / "draft.nc"
            with contextlib.suppress(RuntimeError):
                self._write(draft)
            path.write_bytes(draft.read_bytes())

    def _write(self, path: Path) -> None:
        with netCDF4.Dataset(path, "w", format=self.form) as file, np.errstate(all="ignore"):
            where = file.createGroup(self.group) if self.group and self.form == "NETCDF4" else file
            for name, value in self.attrs.items():
                _attribute(where, name, value)
            for name, variable in self.variables.items():
                try:
                    _write(where, name, variable)
                except (RuntimeError, ValueError, TypeError, KeyError, OverflowError, IndexError, AttributeError):
                    continue


def _attribute(where: Any, name: str, value: Any) -> None:
    try:
        where.setncattr(name, value)
    except (RuntimeError, ValueError, TypeError, AttributeError):
        return


def _write(where: Any, name: str, variable: Variable) -> None:
    values = np.asarray(variable.values)
    sizes = [HUGE] * len(variable.dims) if variable.empty else list(values.shape)
    dims = []
    for dim, size in zip(variable.dims, sizes, strict=False):
        own = dim if dim not in where.dimensions or len(where.dimensions[dim]) == size else f"{name}_{dim}"
        if own not in where.dimensions:
            where.createDimension(own, size)
        dims.append(own)
    kind: Any = variable.kind
    if kind == "str":
        kind, values = str, values.astype(str).astype(object)
    elif kind == "vlen":
        kind = where.createVLType("f8", f"{name}_list")
    elif kind == "compound":
        kind = where.createCompoundType(np.dtype([("x", "f8"), ("y", "i4")]), f"{name}_pair")
    elif kind == "enum":
        kind = where.createEnumType("i1", f"{name}_enum", {"a": 0, "b": 1})
    more = {"chunksizes": [1024] * len(dims), "fill_value": False} if variable.empty else {}
    fill = variable.attrs.get("_FillValue")
    if fill is not None:
        more = {"fill_value": fill}
    if isinstance(kind, str) and kind.startswith(">"):
        more["endian"] = "big"
    made = where.createVariable(name, kind, dims, **more)
    made.set_auto_maskandscale(False)
    for key, value in variable.attrs.items():
        if key != "_FillValue":
            _attribute(made, key, value)
    if not variable.empty and variable.kind not in ("vlen", "compound", "enum"):
        with np.errstate(all="ignore"):
            made[...] = values if kind is str else values.astype(np.dtype(kind))


def layers_content(rng: np.random.Generator) -> Content:
    """Two layers of two heads in d = 3."""
    axes, factor = ("layer", "head", "row", "col"), ("layer", "head", "head_row", "col")
    mixing, query, key = (0.1 * rng.standard_normal((2, 2, *shape)) for shape in ((3, 3), (2, 3), (2, 3)))
    return Content(
        {"mixing": Variable(axes, mixing), "query": Variable(factor, query), "key": Variable(factor, key)},
        {"beta": 2.0, "Conventions": "CF-1.11"},
    )


def full_layers_content(rng: np.random.Generator) -> Content:
    """The same with whole matrices A."""
    content = layers_content(rng)
    forms = Variable(("layer", "head", "row", "col"), rng.standard_normal((2, 2, 3, 3)))
    content.variables = {"mixing": content.variables["mixing"], "query_key": forms}
    return content


def heads_content(rng: np.random.Generator) -> Content:
    """Two heads in d = 3."""
    square, factor = ("head", "row", "col"), ("head", "head_row", "col")
    return Content({
        "value": Variable(square, rng.standard_normal((2, 3, 3))),
        "query": Variable(factor, rng.standard_normal((2, 2, 3))),
        "key": Variable(factor, rng.standard_normal((2, 2, 3))),
    })  # fmt: skip


def tokens_content(rng: np.random.Generator) -> Content:
    """Five weighted tokens in d = 3."""
    points = rng.standard_normal((5, 3))
    points /= np.linalg.norm(points, axis=1)[:, None]
    return Content({
        "tokens": Variable(("token", "component"), points), "weight": Variable(("token",), np.full(5, 0.2)),
    })  # fmt: skip


def density_content(rng: np.random.Generator) -> Content:
    """A density of degree 3 on S^2: uniform and a little of everything."""
    pairs = [(degree, order) for degree in range(4) for order in range(degree + 1)]
    values = 0.01 * rng.standard_normal((1, len(pairs), 2))
    values[:, [k for k, (_, order) in enumerate(pairs) if order == 0], 1] = 0.0
    values[0, 0, 0] = (4 * np.pi) ** -0.5
    return Content({
        "coefficients": Variable(("depth_time", "mode", "part"), values),
        "sh_degree": Variable(("mode",), [degree for degree, _ in pairs], "<i8"),
        "sh_order": Variable(("mode",), [order for _, order in pairs], "<i8"),
        "depth_time": Variable(("depth_time",), [0.0]),
    })  # fmt: skip


def closure_content(rng: np.random.Generator) -> Content:
    """A Gaussian closure of one head in R^2."""
    matrix = ("row", "col")
    return Content({
        "V": Variable(matrix, 0.1 * np.eye(2)), "Q": Variable(matrix, np.eye(2)), "K": Variable(matrix, np.eye(2)),
        "mean": Variable(("row",), [0.1, 0.0]), "covariance": Variable(matrix, 0.1 * np.eye(2)),
    }, {"t_end": 0.1, "beta": 1.0})  # fmt: skip


Make = Callable[[np.random.Generator], Content]
ATTRIBUTES = (
    {"_FillValue": 0.0}, {"scale_factor": 0.5}, {"scale_factor": "a"}, {"add_offset": 1e300},
    {"missing_value": "none"},
    {"units": "days since 2000-01-01"}, {"units": "seconds"}, {"units": "days since the flood"}, {"calendar": "moon"},
    {"dtype": "timedelta64[ns]"}, {"dtype": "object"}, {"dtype": "bool"}, {"coordinates": "weight tokens"},
    {"coordinates": "nowhere"}, {"_Unsigned": "true"}, {"valid_range": [0.0, 1.0]}, {"compress": "a b"},
    {"scale_factor": float("nan")}, {"flag_values": "!!python/object/apply:os.system ['touch X']"},
    {"bounds": "mixing"},
    {"grid_mapping": "mixing"}, {"_FillValue": 1}, {"units": "\0"},
    {"units": "hours since 1-1-1", "calendar": "360_day"},
)  # fmt: skip
BETAS = ("2.0", "", float("nan"), float("inf"), -1.0, 0, 3, 1e308, [2.0, 3.0], [], 2.0000000001, "__import__('os')")


@st.composite
def damaged(draw: Any, make: Make, most: int = 2) -> Content:
    """A whole file after up to `most` changes."""
    content = make(np.random.default_rng(draw(st.integers(0, 3))))
    for _ in range(draw(st.integers(0, most))):
        _change(draw, content)
    return content


def _change(draw: Any, content: Content) -> None:
    kind = draw(st.sampled_from(("type", "entry", "entry", "scale", "shape", "attribute", "name", "lost", "more",
                                 "huge", "global", "form", "numbers")))  # fmt: skip
    names = sorted(content.variables)
    if not names:
        return
    name = draw(st.sampled_from(names))
    variable = content.variables[name]
    values = np.array(variable.values, dtype=float)
    told: Any = ""
    if kind == "type":
        told = variable.kind = draw(st.sampled_from(TYPES))
    elif kind == "entry" and values.size:
        at: Any = slice(None) if draw(st.integers(0, 3)) == 0 else draw(st.integers(0, values.size - 1))
        told = at, draw(st.sampled_from(ENTRIES))
        values.reshape(-1)[at] = told[1]
        variable.values = values
    elif kind == "numbers" and values.size:
        told = draw(st.lists(st.integers(-2, 5), min_size=values.size, max_size=values.size))
        variable.values = np.reshape(told, values.shape)
    elif kind == "scale":
        told = draw(st.sampled_from((-1.0, 0.0, 1 + 1e-7, 1.001, 1e-9, 1e9, 1e155, 1e300)))
        with np.errstate(all="ignore"):
            variable.values = values * told
    elif kind == "shape":
        told = _reshape(draw, variable, values)
    elif kind == "attribute":
        told = draw(st.sampled_from(ATTRIBUTES))
        variable.attrs |= told
    elif kind == "name":
        others = ("x", *names, "weight", "depth_time", "query_key", "lat")
        told = draw(st.sampled_from((name.upper(), name + " ", *others)))
        content.variables[told] = content.variables.pop(name)
    elif kind == "lost":
        del content.variables[name]
    elif kind == "more":
        dims = draw(st.sampled_from(((), ("token",), ("depth_time",), ("token", "token2"), ("layer", "head"))))
        told = draw(st.sampled_from(("weight", "query_key", "depth_time", "tokens", "step", "beta"))), dims
        content.variables[told[0]] = Variable(dims, np.ones([2] * len(dims)))
    elif kind == "huge":
        variable.empty = True
    elif kind == "global":
        told = content.attrs["beta"] = draw(st.sampled_from(BETAS))
    elif kind == "form":
        content.form = draw(st.sampled_from(("NETCDF3_CLASSIC", "NETCDF4_CLASSIC", "NETCDF3_64BIT_OFFSET", "NETCDF4")))
        content.group = draw(st.sampled_from(("", "state", "a/b")))
        told = content.form, content.group
    content.changes.append(f"{kind} {name} {told!r}")


def _reshape(draw: Any, variable: Variable, values: np.ndarray) -> int:
    how: int = draw(st.integers(0, 6))
    if how == 0 and values.ndim > 1:
        values, variable.dims = np.swapaxes(values, -1, -2), (*variable.dims[:-2], variable.dims[-1], variable.dims[-2])
    elif how == 1 and values.ndim:
        values = values[..., :0]
    elif how == 2 and values.ndim:
        values = values[..., :1]
    elif how == 3 and values.ndim:
        values = np.concatenate([values, values], axis=draw(st.integers(0, values.ndim - 1)))
    elif how == 4:
        values, variable.dims = values[None], ("extra", *variable.dims)
    elif how == 5 and values.ndim and len(values):
        values, variable.dims = values[0], variable.dims[1:]
    elif how == 6:
        values, variable.dims = np.asarray(1.0), ()
    variable.values = values
    return how


@st.composite
def other_bytes(draw: Any, whole: bytes) -> bytes:
    """Bytes of a whole file with some changed or lost, or bytes of another kind of file."""
    kind = draw(st.integers(0, 5))
    if kind == 0:
        return draw(st.sampled_from(FOREIGN))
    if kind == 1:
        return whole[: draw(st.integers(0, len(whole)))]
    changed = bytearray(whole)
    for _ in range(draw(st.integers(1, 8))):
        at = draw(st.integers(0, len(changed) - 1))
        if draw(st.integers(0, 3)) == 0:
            length = draw(st.integers(1, 64))
            changed[at : at + length] = bytes([draw(st.sampled_from((0, 255)))]) * len(changed[at : at + length])
        else:
            changed[at] = draw(st.integers(0, 255))
    return bytes(changed)


# A pickle that would make a file called X, headers of NetCDF 3, HDF5, NumPy and zip, text.
FOREIGN = (
    b"", b"\0", b"cposix\nsystem\n(S'touch X'\ntR.", b"CDF\x01", b"CDF\x05\xff\xff\xff\xff", b"\x89HDF\r\n\x1a\n",
    b"\x89HDF\r\n\x1a\n" + b"\xff" * 200, b"\x93NUMPY\x01\x00v\x00{'descr': '|O'}", b"PK\x03\x04", b"[model]\nd = 3\n",
    b"CDF\x01" + b"\x7f" * 300, b"netcdf x { }",
)  # fmt: skip
