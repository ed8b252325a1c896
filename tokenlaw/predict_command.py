"""The command `tokenlaw predict`; light to import, because every call of the command line does."""

from pathlib import Path
from typing import Annotated

import typer


def _number(name: str, text: str) -> typer.models.OptionInfo:
    option: typer.models.OptionInfo = typer.Option(name, metavar="X", help=text)
    return option


def _count(name: str, letter: str, text: str) -> typer.models.OptionInfo:
    option: typer.models.OptionInfo = typer.Option(name, metavar=letter, help=text, min=1)
    return option


def predict(
    preset: Annotated[str | None, typer.Option("--preset", metavar="NAME", help="a published architecture")] = None,
    d_model: Annotated[int | None, _count("--d-model", "D", "dimension of the tokens")] = None,
    heads: Annotated[int | None, _count("--heads", "H", "heads in a layer")] = None,
    head_dim: Annotated[int | None, _count("--head-dim", "K", "inner dimension of a head  [default: D/H]")] = None,
    layers: Annotated[int | None, _count("--layers", "L", "number of layers")] = None,
    context: Annotated[int | None, _count("--context", "N", "number of tokens")] = None,
    residual_scale: Annotated[
        float | None, _number("--residual-scale", "eta in x + (eta/H) sum V m  [default: 1]")
    ] = None,
    sigma_v: Annotated[float | None, _number("--sigma-v", "deviation of the entries of V  [default: D^-1/2]")] = None,
    sigma_a: Annotated[float | None, _number("--sigma-a", "of those of W and W', A = W W'^T  [default: 1]")] = None,
    beta: Annotated[float | None, _number("--beta", "inverse temperature  [default: K^-1/2]")] = None,
    overlap0: Annotated[
        float | None, _number("--overlap0", "overlap before the first layer  [default: of random tokens]")
    ] = None,
    mlp: Annotated[
        str | None, typer.Option("--mlp", metavar="ACTIVATION", help="an MLP block in each layer; none: without")
    ] = None,
    mlp_scale: Annotated[float | None, _number("--mlp-scale", "factor before the MLP block  [default: 1]")] = None,
    mlp_gain: Annotated[
        float | None, _number("--mlp-gain", "deviation of the inputs of the activation  [default: 1]")
    ] = None,
    pre_norm: Annotated[bool | None, typer.Option("--pre-norm/--post-norm", help="where tokens are normalised")] = None,
    map_: Annotated[
        str | None, typer.Option("--map", metavar="X,Y", help="collapse depth over head-dim,beta or context,d-model")
    ] = None,
    out: Annotated[Path | None, typer.Option("--out", "-o", metavar="F", help="F.png; a map also F.nc")] = None,
    json_: Annotated[bool, typer.Option("--json", help="print numbers as JSON")] = False,
    seed: Annotated[int, typer.Option("--seed", metavar="N", help="of all random numbers", min=0)] = 0,
) -> None:
    """Forecast for an architecture: how alike its tokens become, layer by layer, with random weights."""
    given = {name: value for name, value in locals().items() if name not in ("preset", "map_", "out", "json_", "seed")}
    from tokenlaw import cli

    with cli._heavy():
        from tokenlaw import predict as forecasts
        from tokenlaw.tables import tell

    tell(forecasts.answer(preset, given, map_, out, json_, seed))
