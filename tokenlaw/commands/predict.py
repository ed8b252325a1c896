"""The command predict: a forecast for an architecture.  Its options are a table, in groups as its help shows them."""

import inspect
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import typer
from typer.core import TyperCommand

from tokenlaw.commands import terminal


def _width(text: str) -> float:
    """A whole number, or inf."""
    if text == "inf":
        return math.inf
    if not (text.isascii() and text.isdigit() and 1 <= int(text[:12]) <= 10**9):
        raise typer.BadParameter(f"{text[:40]!r} must be a whole number of at least 1, or inf")
    return int(text)


def _count(letter: str, text: str, least: int = 1) -> tuple[Any, dict[str, Any]]:
    return int, {"metavar": letter, "help": text, "min": least}


def _real(text: str) -> tuple[Any, dict[str, Any]]:
    return float, {"metavar": "X", "help": text}


def _word(words: str, text: str) -> tuple[Any, dict[str, Any]]:
    return str, {"metavar": words, "help": text}


def _flag(text: str) -> tuple[Any, dict[str, Any]]:
    return bool, {"help": text}


OPTIONS: Mapping[str, Mapping[str, tuple[Any, dict[str, Any]]]] = {
    "Sizes": {
        "preset": _word("NAME", "a published architecture; other options go on top"),
        "d_model": _count("D", "dimension of the tokens"),
        "heads": _count("H", "heads in a layer"),
        "head_dim": _count("K", "inner dimension of a head  [default: D/H]"),
        "kv_heads": _count("G", "keys and values, shared by groups of heads  [default: H]"),
        "layers": _count("L", "number of layers"),
        "context": _count("N", "number of tokens"),
    },
    "Network": {
        "causal": _flag("tokens see those before them and themselves"),
        "positions": _word("none|rope|alibi", "what tells places apart"),
        "qk_norm": _flag("queries and keys are normalised"),
        "mlp": _word("NAME", "an MLP block in each layer: relu, gelu, silu, tanh, swiglu, geglu, ...; none: without"),
        "mlp_width": (float, {"metavar": "W|inf", "help": "hidden units  [default: 4 D, gated 8 D/3]",
                              "parser": _width}),
        "norm": _word("pre|post|peri|none", "where tokens are normalised  [default: pre; on the sphere post]"),
        "norm_kind": _word("rms|layer", "by what  [default: rms]"),
        "norm_eps": _real("what a norm adds to the mean square of a token  [default: 0; presets their own]"),
        "pre_norm": (bool, {"help": "the same as --norm pre and --norm post"}),
        "parallel_blocks": _flag("attention and MLP read the same tokens"),
    },
    "Matrices of a deployed network (without these it is on the sphere)": {
        "init_std": _real("standard deviation of the entries of every matrix"),
        "init": _word("xavier|lecun", "variances 2/(fan_in + fan_out), 1/fan_in"),
        "depth_scaled": _flag("matrices behind both blocks times (2 L)^-1/2"),
    },
    "Scales": {
        "residual_scale": _real("factor on every branch; on the sphere eta in x + (eta/H) sum V m  [default: 1]"),
        "layer_scale": _real("another one, as of LayerScale  [default: 1]"),
        "score_scale": _real("factor on the scores  [default: 1]"),
        "sigma_v": _real("on the sphere: deviation of the entries of V  [default: D^-1/2]"),
        "sigma_a": _real("of those of W and W', A = W W'^T  [default: 1]"),
        "beta": _real("inverse temperature  [default: K^-1/2]"),
        "mlp_scale": _real("factor before the MLP block  [default: 1]"),
        "mlp_gain": _real("deviation of the inputs of the activation  [default: 1]"),
    },
    "Tokens before the first layer": {
        "embedding_std": _real("deviation of their entries  [default: 1]"),
        "overlap0": _real("overlap of all pairs  [default: of independent tokens]"),
        "repeat": _real("share of the tokens that repeat the words of others"),
        "tokens": (Path, {"metavar": "F.nc", "help": "these tokens: the last record of a token file"}),
    },
    "Answer": {
        "method": _word("chain|mean", "exact law of all overlaps, or one overlap for all pairs  [default: chain, if it "
                                      "fits into half a minute]"),
        "networks": _count("R", "networks of the chain  [default: as many as fit]", 2),
        "gradients": (bool, {"help": "mean square of the gradient by layer"}),
        "map_": _word("X,Y", "a map over two options, perhaps with values: 'head-dim=8,16;beta=1,2'"),
        "out": (Path, {"metavar": "F", "help": "F.png; a map also F.nc"}),
        "json": (bool, {"help": "print one JSON object"}),
        "seed": (int, {"metavar": "N", "help": "seed of all random numbers", "min": 0}),
        "quiet": (bool, {"help": "no notes and no progress bar"}),
    },
}  # fmt: skip
SPELLED = {"pre_norm": ("--pre-norm/--post-norm",), "map_": ("--map",), "out": ("--out", "-o"),
           "quiet": ("--quiet", "-q")}  # fmt: skip
OWN: Mapping[str, Any] = {"gradients": False, "json": False, "seed": 0, "quiet": False}
"""Defaults that are not None: of options that do not describe a network."""


class Grouped(TyperCommand):
    """A command whose help shows its options in groups."""

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """As the library does, group by group."""
        groups: dict[str, list[Any]] = {}
        for option in self.get_params(ctx):
            record = option.get_help_record(ctx)
            if record is not None:
                groups.setdefault(getattr(option, "rich_help_panel", None) or "Options", []).append(record)
        for name, records in groups.items():
            with formatter.section(name):
                formatter.write_dl(records)


def _parameters() -> list[inspect.Parameter]:
    """The table as arguments of a function, as the library reads them."""
    found = []
    for group, options in OPTIONS.items():
        for name, (kind, more) in options.items():
            plain = f"--{name.replace('_', '-')}"
            flag = f"{plain}/--no-{plain[2:]}" if kind is bool and name not in OWN else plain
            option = typer.Option(*SPELLED.get(name, (flag,)), rich_help_panel=group, show_default=False, **more)
            found.append(inspect.Parameter(
                name, inspect.Parameter.KEYWORD_ONLY, default=OWN.get(name),
                annotation=_annotated(kind if name in OWN else kind | None, option),
            ))  # fmt: skip
    return found


def _annotated(kind: Any, option: Any) -> Any:
    from typing import Annotated

    return Annotated[kind, option]


def predict(**given: Any) -> None:
    """Forecast for an architecture: how alike its tokens become, layer by layer, with random weights."""
    preset, kind, out, as_numbers = (given.pop(name) for name in ("preset", "map_", "out", "json"))
    seed, quiet = given.pop("seed"), given.pop("quiet")
    with terminal.heavy():
        from tokenlaw.answers import predict as forecasts

    if given["tokens"] is not None and out is not None:
        terminal.check_outputs({"--out": out}, [given["tokens"]])
    screen = forecasts.Screen(terminal.notes(quiet), lambda layers: terminal.progress("predict", layers, quiet))
    for parts in forecasts.answer(preset, given, kind, out, as_numbers, seed, screen):
        terminal.tell(parts)


predict.__signature__ = inspect.Signature(_parameters())  # type: ignore[attr-defined]
predict.__annotations__ = {one.name: one.annotation for one in _parameters()}
