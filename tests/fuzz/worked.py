"""Files after chains of xarray work, told about, plotted and reported:  python -m tests.fuzz.worked --examples 3000

Each is drawn, or refused with a ValueError of one line in our own words.  Anything else is a loss; exit code 1 at any.
"""

import argparse
import contextlib
import sys
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import xarray as xr

from tests.fuzz.trial import LIBRARY_TALK
from tokenlaw import files
from tokenlaw.pictures import globe as globes
from tokenlaw.pictures import page as report
from tokenlaw.pictures import paper as plots
from tokenlaw.pictures import scenes

Rng = np.random.Generator
LONGEST = 1200  # characters of a refusal, which lists what the file has
SIZES = {"depth_time": 4, "lat": 10, "lon": 20, "token": 12, "node": 15, "component": 3, "exponent": 2}


def _values(rng: Rng, *dims: str) -> tuple[tuple[str, ...], Any]:
    return dims, rng.random([SIZES[dim.removesuffix("2")] for dim in dims])


def density_file(rng: Rng, lat: bool = True) -> xr.Dataset:
    """What solve writes, with characteristics half of the time."""
    over, places = "depth_time", ("lat", "lon") if lat else ("lon",)
    series = ("mass", "mean_overlap", "moment_defect", "min_density", "spectral_tail", "field_error")
    data = {name: _values(rng, over) for name in series}
    data |= {"density": _values(rng, over, *places), "mean_token": _values(rng, over, "component")}
    data |= {"second_moment": _values(rng, over, "component", "component2")}
    data["unresolved"] = (over, rng.integers(0, 2, SIZES[over]).astype("i1"))
    if rng.random() < 0.5:
        data |= {"node_log_density": _values(rng, over, "node"), "node_weight": _values(rng, "node")}
        data |= {"entropy": _values(rng, over), "lyapunov": _values(rng, over, "exponent")}
    file = xr.Dataset(data, {over: 0.1 * np.arange(SIZES[over]), "lon": 18.0 * np.arange(SIZES["lon"])})
    file = file.assign_coords(lat=np.linspace(81, -81, SIZES["lat"])) if lat else file.isel(component=[0, 1])
    return file.assign_attrs(title="run", seed="7", configuration='[model]\nd = 3\nbeta = 2.0\n[layers]\nkind = "x"\n')


def circle_file(rng: Rng) -> xr.Dataset:
    """What solve writes with d = 2."""
    file = density_file(rng, lat=False).isel(component2=[0, 1])
    return file.assign(density=file["density"] / file["density"].mean("lon") / (2 * np.pi))


def token_file(rng: Rng) -> xr.Dataset:
    """What simulate writes, of a residual stream half of the time."""
    over, n = "depth_time", SIZES["token"]
    points = rng.standard_normal((SIZES[over], n, SIZES["component"]))
    points /= np.linalg.norm(points, axis=-1, keepdims=True)
    file = xr.Dataset(
        {
            "tokens": ((over, "token", "component"), points),
            "weight": ("token", np.full(n, 1 / n)),
            "mean_token": ((over, "component"), points.mean(1)),
            "mean_overlap": (over, (points.mean(1) ** 2).sum(-1)),
            "second_moment": ((over, "component", "component2"), np.einsum("tni,tnj->tij", points, points) / n),
        },
        {over: 0.1 * np.arange(SIZES[over])},
    )
    return file.assign(radius=_values(rng, over, "token")) if rng.random() < 0.5 else file


def compare_file(rng: Rng) -> xr.Dataset:
    """What compare writes."""
    tokens = token_file(rng)[["tokens", "weight", "mean_overlap"]].rename(mean_overlap="tokens_mean_overlap")
    distances = {name: _values(rng, "depth_time") for name in ("coupled_rms", "w2_chordal", "w1_geodesic", "w2_floor")}
    return density_file(rng).merge(tokens).assign(distances)


def layers_file(rng: Rng) -> xr.Dataset:
    """What --record-layers writes."""
    square, thin = ("layer", "head", "row", "col"), ("layer", "head", "head_row", "col")
    return xr.Dataset(
        {"mixing": (square, rng.standard_normal((5, 2, 3, 3))), "query": (thin, rng.standard_normal((5, 2, 2, 3))),
         "key": (thin, rng.standard_normal((5, 2, 2, 3)))}, attrs={"beta": 2.0},
    )  # fmt: skip


def map_file(rng: Rng) -> xr.Dataset:
    """What predict --map writes."""
    labels = {"head_dim": [2, 4, 8], "beta": [0.5, 1.0]}
    return xr.Dataset({"collapse_depth": (("beta", "head_dim"), 100 * rng.random((2, 3)))}, labels, {"deepest": 4096})


FILES = (density_file, compare_file, token_file, circle_file, density_file, compare_file, layers_file, map_file)


def _dim(rng: Rng, file: xr.Dataset) -> str:
    return str(rng.choice(sorted(map(str, file.dims))))


def _name(rng: Rng, file: xr.Dataset) -> str:
    return str(rng.choice(sorted(map(str, file.variables))))


def _of(rng: Rng, *values: Any) -> Any:
    return values[int(rng.integers(len(values)))]


def select(rng: Rng, file: xr.Dataset) -> xr.Dataset:
    """One place, some, a stretch, none; with or without its dimension."""
    dim = _dim(rng, file)
    n = file.sizes[dim]
    some = sorted(rng.choice(n, int(rng.integers(1, n + 1)), replace=False).tolist())
    at = int(rng.integers(n))
    chosen = _of(rng, at, [at], some, slice(None, None, 2), slice(None, None, -1), slice(at, None), slice(0, 0))
    return file.isel({dim: chosen}, drop=bool(rng.random() < 0.3))


def drop(rng: Rng, file: xr.Dataset) -> xr.Dataset:
    """Some variables gone, or all but some; attributes gone."""
    names = sorted(map(str, file.variables))
    some = rng.choice(names, int(rng.integers(1, len(names) + 1)), replace=False).tolist()
    kind = rng.random()
    return file.drop_attrs() if kind < 0.2 else file.drop_vars(some[:3]) if kind < 0.7 else file[some]


def transpose(rng: Rng, file: xr.Dataset) -> xr.Dataset:
    """Dimensions in any order."""
    return file.transpose(*rng.permutation(sorted(map(str, file.dims))).tolist())


def sort(rng: Rng, file: xr.Dataset) -> xr.Dataset:
    """Sorted by a coordinate, longitudes from -180."""
    if "lon" in file.coords and rng.random() < 0.5:
        file = file.assign_coords(lon=(file["lon"] + 180) % 360 - 180)
    return file.sortby(_of(rng, *file.coords), ascending=bool(rng.integers(2)))


def interpolate(rng: Rng, file: xr.Dataset) -> xr.Dataset:
    """To other places along one axis, some of them outside."""
    axis = str(_of(rng, *(c for c in file.coords if file[c].ndim == 1)))
    low, high = float(file[axis].min()), float(file[axis].max())
    return file.interp({axis: np.linspace(low, _of(rng, high, high + 1, 2 * high), int(rng.integers(1, 9)))})


def concatenate(rng: Rng, file: xr.Dataset) -> xr.Dataset:
    """With itself along an axis that is there, or a new one."""
    dim = _of(rng, "depth_time", "realization", "lat", "token", "case")
    return xr.concat([file, file.isel({dim: slice(0, 1)}) if dim in file.dims else file], dim, data_vars="all")


def rename(rng: Rng, file: xr.Dataset) -> xr.Dataset:
    """A variable or dimension gets another name, of another one too."""
    new = _of(rng, "latitude", "x", "lat", "lon", "tokens", "density", "mean_overlap", "mass", "unresolved", "radius")
    return file.rename({_of(rng, _name(rng, file), _dim(rng, file)): new})


def astype(rng: Rng, file: xr.Dataset) -> xr.Dataset:
    """Another type of all variables, or of one."""
    kind = _of(rng, "f4", "f4", "i4", "i1", "u1", "bool", "U8", "datetime64[ns]", "f8")
    if rng.random() < 0.5:
        return file.astype(kind)
    name = _name(rng, file)
    return file.assign({name: file[name].astype(kind)})


def mask(rng: Rng, file: xr.Dataset) -> xr.Dataset:
    """NaN, infinities, zeros, negative and huge numbers here and there, or all over a variable."""
    name, value = _name(rng, file), _of(rng, np.nan, np.nan, np.inf, -np.inf, 0.0, -1.0, 1e300, 1e-300)
    values = np.array(file[name].values, dtype=float)
    values[rng.random(values.shape) < _of(rng, 0.1, 0.9, 1.0)] = value
    return file.assign({name: (file[name].dims, values)})


def reduce(rng: Rng, file: xr.Dataset) -> xr.Dataset:
    """Mean, largest or spread over an axis, or means of neighbours."""
    dim = _dim(rng, file)
    if rng.random() < 0.5:
        return file.coarsen({dim: 2}, boundary="trim").mean()
    return getattr(file, _of(rng, "mean", "max", "std"))(dim)


def turn(rng: Rng, file: xr.Dataset) -> xr.Dataset:
    """New axes, coordinates that count, radians, depths that are none."""
    return _of(
        rng,
        lambda: file.expand_dims(_of(rng, "realization", "case")),
        lambda: file.roll(lon=7),
        lambda: file.assign_coords(lat=np.radians(file["lat"]), lon=np.radians(file["lon"])),
        lambda: file.assign_coords(depth_time=file["depth_time"] * np.nan),
        lambda: file.swap_dims(depth_time="step"),
        lambda: file.assign_attrs({_of(rng, "title", "beta", "configuration"): _of(rng, "\x1b[31m$^", 5, "a=")}),
    )()


STEPS: tuple[Callable[[Rng, xr.Dataset], xr.Dataset], ...] = (
    select, drop, transpose, sort, interpolate, concatenate, rename, astype, mask, reduce, turn,
)  # fmt: skip


def worked(rng: Rng) -> tuple[xr.Dataset, str]:
    """A file after one to five steps, and what they were; steps that xarray itself refuses are left out."""
    make = _of(rng, *FILES)
    file, told = make(rng), [make.__name__]
    for _ in range(int(rng.integers(1, 6))):
        step = _of(rng, *STEPS)
        with contextlib.suppress(Exception), np.errstate(all="ignore"), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            file = step(rng, file)
            told.append(step.__name__)
    return file, ", ".join(told)


@contextlib.contextmanager
def small() -> Iterator[None]:
    """Pictures and pages of few pixels and records, without plotly's own code."""
    with contextlib.ExitStack() as stack:
        for module, name, value in (
            (globes, "PIXELS", 12), (plots, "RECORDS", 2), (report, "RECORDS", 2), (scenes, "ROWS", 6),
            (report, "_plotly", lambda: ""),
        ):  # fmt: skip
            stack.enter_context(mock.patch.object(module, name, value))
        yield


def tell(file: xr.Dataset) -> str:
    return "\n".join(map(str, files.describe(file, Path("f.nc"))))


def page(file: xr.Dataset) -> str:
    return report.page(file, "f.nc")


def draw(file: xr.Dataset) -> str:
    figure = plots.plot(file)
    figure.canvas.draw()
    return "drawn"


def loss(use: Callable[[xr.Dataset], str], file: xr.Dataset) -> tuple[str, str]:
    """What was lost in a use of a file ("" for nothing), and what it was refused with ("" if it was taken)."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            warnings.simplefilter("error", RuntimeWarning)  # shown by the command line
            use(file.copy())
    except ValueError as error:
        text = str(error)
        if type(error) is not ValueError and type(error).__name__ != "TooLarge":
            return f"{type(error).__name__}: {text[:100]}", text
        if "\n" in text or not text or len(text) > LONGEST or any(talk in text for talk in LIBRARY_TALK):
            return f"in the words of a library, or not in a line: {text[:160]}", text
        return "", text
    except Exception as error:
        return f"{type(error).__name__}: {str(error)[:100]}", ""
    return "", ""


def main() -> int:
    """Try many, print a table."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz.worked", description=__doc__)
    parser.add_argument("--examples", type=int, default=3000)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    counts: Counter[str] = Counter()
    losses: dict[str, str] = {}
    with small():
        for k in range(given.examples):
            file, told = worked(np.random.default_rng([given.seed, k]))
            for use in (tell, draw, page):
                lost, refused = loss(use, file)
                counts[f"{use.__name__}: {'lost' if lost else 'refused' if refused else 'taken'}"] += 1
                if lost:
                    losses.setdefault(f"{use.__name__}: {lost}", f"[{given.seed}, {k}] {told}")
    print("\n".join(f"{name:16s}{count:8d}" for name, count in sorted(counts.items())))
    print("\n".join(f"{lost}\n    {told}" for lost, told in losses.items()))
    return 1 if losses else 0


if __name__ == "__main__":
    sys.exit(main())
