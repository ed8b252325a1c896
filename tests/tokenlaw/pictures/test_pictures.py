"""A picture depends on nobody's environment: backend of a notebook, matplotlibrc, styles, settings in use."""

import ast
import hashlib
import os
import subprocess
import sys
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pytest

from tests.tokenlaw.calls import COMMAND
from tests.tokenlaw.pictures.test_plots import LAT, LON, compare_file, density_file, layers_file, token_file
from tokenlaw.answers.predict import answer
from tokenlaw.pictures import paper as plots
from tokenlaw.pictures.forecasts import map_of
from tokenlaw.pictures.studies import draw
from validation import Figure, Series

ROOT = Path(__file__).parents[3]
HOSTILE = {
    "text.usetex": True, "figure.facecolor": "black", "axes.facecolor": "black", "savefig.facecolor": "black",
    "text.color": "white", "savefig.dpi": 33, "figure.dpi": 41, "savefig.bbox": "tight", "font.family": "monospace",
    "font.size": 20, "axes.grid": True, "lines.linewidth": 9, "axes.prop_cycle": mpl.cycler(color=["r"]),
    "image.cmap": "gray", "figure.autolayout": True, "path.sketch": (1, 100, 2), "axes.formatter.use_locale": True,
    "image.origin": "lower", "image.interpolation": "nearest", "mathtext.fontset": "cm", "agg.path.chunksize": 3,
}  # fmt: skip
DRAWN = """
import sys, warnings
from tokenlaw.answers.forecast import advice
from tokenlaw.pictures import paper
from tokenlaw.commands import app
from tokenlaw.pictures.studies import draw
from validation import Figure, Series
warnings.simplefilter("error")
advice.by_chain = lambda request, plan, seed: []  # no part of the picture
assert app.run(["plot", "run.nc", "--out", sys.argv[1] + "run.png"]) == 0
assert app.run(["report", "run.nc", "--out", sys.argv[1] + "run.html"]) == 0
words = "--d-model 8 --heads 2 --layers 3 --context 6 --networks 4 --out".split()
assert app.run(["predict", *words, sys.argv[1] + "course.png"]) == 0
paper.save(draw(Figure("x", "y", (Series("one", [1, 2], [3, 4], [1, 1]),)), "title"), sys.argv[1] + "study.png")
"""


def test_the_environment_changes_no_byte_of_what_the_commands_draw(tmp_path):
    """The backend of a Jupyter kernel that is not installed here, and a matplotlibrc in the folder."""
    coarse = compare_file(2, n=20, kappas=[1.0, 2.0], lat=LAT[::3], lon=LON[::3])
    coarse.to_netcdf(tmp_path / "run.nc")
    rc = "\n".join(f"{key}: {value}" for key, value in HOSTILE.items() if "cycle" not in key and "sketch" not in key)
    clean = {key: value for key, value in os.environ.items() if not key.startswith(("MPL", "MATPLOTLIB"))}
    clean |= {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    kernel = {"MPLBACKEND": "module://matplotlib_inline.backend_inline", "MATPLOTLIBRC": str(tmp_path / "of_a_user")}
    (tmp_path / "of_a_user").write_text(rc + "\nno such line\nbackend: nonsense\n")
    for name, more in (("plain", {}), ("kernel", kernel)):
        words = [sys.executable, "-c", DRAWN, f"{name}_"]
        done = subprocess.run(words, cwd=tmp_path, env=clean | more, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        assert done.stderr == ""
    for name in ("run.png", "run.html", "course.png", "study.png"):
        assert (tmp_path / f"kernel_{name}").read_bytes() == (tmp_path / f"plain_{name}").read_bytes(), name


def study():
    return draw(Figure("x", "$y$", (Series("one", [1, 2], [3, 4], [1, 1]), Series("law", [1, 2], [2, 5]))), "title")


def course(path):
    given = {"d_model": 8, "heads": 2, "layers": 3, "context": 6, "overlap0": 0.0, "networks": 4}
    list(answer(None, given, None, path, False, 0))


def collapse():
    import xarray as xr

    axes = {"beta": [0.5, 1.0], "head_dim": [2, 4, 8]}
    depth = np.array([[10.0, 20, np.nan], [5, 7, 9]])
    return map_of(xr.Dataset({"collapse_depth": (("beta", "head_dim"), depth)}, axes))


MAKERS = {
    "density": lambda: plots.plot(density_file(1, lat=LAT[::3], lon=LON[::3])),
    "tokens": lambda: plots.plot(token_file(1, n=20, d=2)),
    "layers": lambda: plots.plot(layers_file(True)),
    "study": study,
    "map": collapse,
}


@pytest.mark.parametrize("kind", MAKERS)
def test_settings_in_use_change_no_byte_and_come_back(kind, tmp_path):
    plots.save(MAKERS[kind](), tmp_path / "plain.png", dpi=40)
    with mpl.rc_context(HOSTILE):
        before = dict(mpl.rcParams)
        plots.save(MAKERS[kind](), tmp_path / "hostile.png", dpi=40)
        assert dict(mpl.rcParams) == before
    one, other = (hashlib.sha256((tmp_path / f"{name}.png").read_bytes()) for name in ("plain", "hostile"))
    assert one.digest() == other.digest()


def test_a_forecast_is_drawn_alike_too(tmp_path, monkeypatch):
    monkeypatch.setattr("tokenlaw.answers.forecast.advice.by_chain", lambda request, plan, seed: [])  # not drawn
    course(tmp_path / "plain.png")
    with mpl.rc_context(HOSTILE):
        course(tmp_path / "hostile.png")
    assert (tmp_path / "plain.png").read_bytes() == (tmp_path / "hostile.png").read_bytes()


def test_a_backend_of_the_user_stays_for_pictures_of_their_own():
    """Who draws with the toolkit first still gets the backend of the environment afterwards."""
    code = "import tokenlaw.pictures.paper, os, matplotlib; print(matplotlib.get_backend(), os.environ['MPLBACKEND'])"
    env = {**os.environ, "MPLBACKEND": "svg", "PYTHONPATH": str(ROOT)}
    assert subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True).stdout == "svg svg\n"


def test_all_of_matplotlib_comes_through_one_module():
    """No module but `drawing` imports matplotlib, makes a figure or writes one; so none can draw in another style."""
    for path in sorted((ROOT / "tokenlaw").rglob("*.py")):
        if path.name == "drawing.py":
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            names = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            names += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            assert not any(name.partition(".")[0] == "matplotlib" for name in names), path
            called = ast.unparse(node.func) if isinstance(node, ast.Call) else ""
            assert not called.endswith(("savefig", "subplots", "FigureCanvasAgg")), path
            assert called not in ("Figure", "Canvas"), path


def test_whoever_makes_a_figure_does_so_in_the_own_style():
    """Every function that calls `new_figure` is within `own_style`, or called by one that is."""
    for path in sorted((ROOT / "tokenlaw").rglob("*.py")):
        tree = ast.parse(path.read_text())
        makes = any(isinstance(n, ast.Call) and ast.unparse(n.func) == "new_figure" for n in ast.walk(tree))
        styled = any(isinstance(n, ast.Call) and ast.unparse(n.func) == "own_style" for n in ast.walk(tree))
        assert styled or not makes or path.name == "layout.py", path


def test_a_matplotlibrc_that_is_not_text_is_named(tmp_path):
    """Matplotlib itself cannot be loaded beside it."""
    (tmp_path / "matplotlibrc").write_bytes(b"\xff\xfe\x00")
    done = subprocess.run(
        [*COMMAND, "predict", "--d-model", "64", "--heads", "4", "--layers", "2", "--context", "8", "--out", "p.png"],
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert "a matplotlibrc (in the working folder" in done.stderr
    assert len(done.stderr.splitlines()) == 1
