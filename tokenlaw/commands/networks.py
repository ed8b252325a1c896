"""The command observe, which looks at real networks."""

from pathlib import Path
from typing import Annotated

import typer

from tokenlaw.commands import terminal
from tokenlaw.commands.options import Out, OwnSeed, Quiet

FileOption = Path | None


def observe(
    model: Annotated[Path, typer.Argument(metavar="MODEL_DIR", help="folder with config.json and safetensors files")],
    out: Out,
    text: Annotated[FileOption, typer.Option("--text", metavar="FILE", help="text, for the model's tokenizer")] = None,
    ids: Annotated[
        FileOption, typer.Option("--ids", metavar="FILE", help="numbers of words: whole numbers, or a .npy file")
    ] = None,
    pixels: Annotated[
        FileOption, typer.Option("--pixels", metavar="F.npy", help="image (channel, row, column), scaled as it expects")
    ] = None,
    context: Annotated[
        int | None, typer.Option("--context", metavar="N", min=2, help="the first N tokens only")
    ] = None,
    reinit: Annotated[
        int, typer.Option("--reinit", metavar="N", min=0, help="also N fresh networks by the library's initialisation")
    ] = 0,
    networks: Annotated[
        int, typer.Option("--networks", metavar="R", min=0, help="of the forecast beside them; 0: none")
    ] = 8,
    seed: OwnSeed = 0,
    quiet: Quiet = False,
) -> None:
    """Hidden states of a real network, block by block, as a token file; local files only."""
    with terminal.heavy("dask"):
        from tokenlaw.observe import record

    request = record.Request(model, text, ids, pixels, context, reinit, networks, seed)
    terminal.check_outputs({"--out": out}, [request.file])
    with terminal.progress("observe", 1 + reinit, quiet, "networks") as progress:
        dataset = record.observe(request, terminal.notes(quiet), progress)
    record.write(dataset, out)
