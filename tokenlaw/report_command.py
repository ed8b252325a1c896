"""The command `tokenlaw report`; light to import, because every call of the command line does."""

from pathlib import Path
from typing import Annotated

import typer


def report(
    file: Annotated[Path, typer.Argument(metavar="F.nc", help="file of a run")],
    out: Annotated[
        Path | None, typer.Option("--out", "-o", metavar="F.html", help="page to write  [default: beside F.nc]")
    ] = None,
) -> None:
    """One page on a run, to be opened in a browser: state with a depth slider, curves, numbers, configuration."""
    from tokenlaw import cli

    out = file.with_suffix(".html") if out is None else out
    if out.suffix.lower() not in (".html", ".htm"):
        raise ValueError(f"--out: must end with .html, got {out}")
    with cli._heavy("dask"):
        from tokenlaw.files import opened

        try:
            from tokenlaw import report as pages
        except ModuleNotFoundError as error:
            if (error.name or "").partition(".")[0] != "plotly":
                raise
            raise ValueError("report draws with plotly, which is not installed: pip install 'plotly>=6,<7'") from None
    cli._check_outputs({"--out": out}, [file])
    with opened(file) as dataset:
        try:
            size = pages.write(dataset, file, out)
        except ValueError as error:
            raise ValueError(f"{file}: {error}") from None
    typer.echo(f"{out}: {size / 1e6:.1f} MB, opens in a browser without a network")
