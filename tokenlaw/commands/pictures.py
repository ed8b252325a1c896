"""The commands plot, info and report, which look at a file."""

from pathlib import Path
from typing import Annotated

import typer

from tokenlaw.commands import terminal
from tokenlaw.commands.options import File


def plot(
    file: File, out: Annotated[Path, typer.Option("--out", "-o", metavar="F.png", help="picture to write")]
) -> None:
    """Picture of whatever the file holds."""
    with terminal.heavy("dask"):
        from particles.files import naming
        from tokenlaw import files
        from tokenlaw.pictures import paper

    terminal.check_outputs({"--out": out}, [file])
    with naming(file), files.opened(file) as dataset:
        figure = paper.plot(dataset)
    paper.save(figure, out)


def info(file: File) -> None:
    """What a file holds: run, records, diagnostics, versions and configuration."""
    with terminal.heavy("dask"):
        from particles.files import is_model, naming
        from tokenlaw import files

    if is_model(file):
        terminal.tell(files.describe_encoder(file))
        return
    with naming(file), files.opened(file) as dataset:
        text = files.describe(dataset, file)
    terminal.tell(text)


def report(
    file: File,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", metavar="F.html", help="page to write  [default: beside F.nc]")
    ] = None,
) -> None:
    """One page on a run, to be opened in a browser: state with a depth slider, curves, numbers, configuration."""
    out = file.with_suffix(".html") if out is None else out
    if out.suffix.lower() not in (".html", ".htm"):
        raise ValueError(f"--out: must end with .html, got {out}")
    with terminal.heavy("dask"):
        from particles.files import naming
        from tokenlaw import files

        try:
            from tokenlaw.pictures import page as pages
        except ModuleNotFoundError as error:
            if (error.name or "").partition(".")[0] != "plotly":
                raise
            raise ValueError("report draws with plotly, which is not installed: pip install 'plotly>=6,<7'") from None
    terminal.check_outputs({"--out": out}, [file])
    with naming(file), files.opened(file) as dataset:
        size = pages.write(dataset, file, out)
    typer.echo(f"{out}: {size / 1e6:.1f} MB, opens in a browser without a network")
