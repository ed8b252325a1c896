"""The command line.  Exit codes: 0 done; 2 bad input; 3 the run stopped on its own; 130 interrupted, resumable."""

import signal
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from particles.simulate import Progress

BAD_INPUT, STOPPED, INTERRUPTED = 2, 3, 130

app = typer.Typer(
    help="Solve the stochastic Fokker-Planck equation of random deep transformers, with the transformers beside it.",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

Config = Annotated[Path, typer.Argument(metavar="CONFIG", help="configuration, a TOML file")]
Out = Annotated[Path, typer.Option("--out", "-o", metavar="F.nc", help="file to write")]
Resume = Annotated[bool, typer.Option("--resume", help="go on from the state in the file")]
Seed = Annotated[int | None, typer.Option("--seed", metavar="N", help="overrides noise.seed")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="no notes and no progress bar")]
Set = Annotated[
    list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="override one configuration key (repeatable)")
]
File = Annotated[Path, typer.Argument(metavar="F.nc", help="file of a run")]


def _version(wanted: bool) -> None:
    if wanted:
        from importlib import metadata

        typer.echo(f"tokenlaw {metadata.version('tokenlaw')}")
        raise typer.Exit


@app.callback()
def _top(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="print the version")
    ] = False,
) -> None:
    """Options before the command."""


@app.command()
def solve(
    config: Config, out: Out, resume: Resume = False, seed: Seed = None, quiet: Quiet = False, set_: Set = None
) -> None:
    """Density of the conditional token law on S^2, to a NetCDF file."""
    _execute("solve", config, out, resume, seed, quiet, set_)


@app.command()
def simulate(
    config: Config,
    out: Out,
    resume: Resume = False,
    seed: Seed = None,
    quiet: Quiet = False,
    set_: Set = None,
    record_layers: Annotated[
        Path | None, typer.Option("--record-layers", metavar="F.nc", help="also write the layers to this file")
    ] = None,
) -> None:
    """Finitely many tokens through the same layers, to a NetCDF file."""
    _execute("simulate", config, out, resume, seed, quiet, set_, record_layers)


@app.command()
def compare(
    config: Config, out: Out, resume: Resume = False, seed: Seed = None, quiet: Quiet = False, set_: Set = None
) -> None:
    """Density and tokens on the same layers, with Wasserstein distances over depth time."""
    _execute("compare", config, out, resume, seed, quiet, set_)


@app.command()
def plot(
    file: File, out: Annotated[Path, typer.Option("--out", "-o", metavar="F.png", help="picture to write")]
) -> None:
    """Picture of whatever the file holds."""
    from tokenlaw import plots
    from tokenlaw.files import opened

    with opened(file) as dataset:
        try:
            figure = plots.plot(dataset)
        except ValueError as error:
            raise ValueError(f"{file}: {error}") from None
    _make_folder(out)
    plots.save(figure, out)


@app.command()
def info(file: File) -> None:
    """What a file holds: run, records, diagnostics, versions and configuration."""
    from tokenlaw.files import describe, opened

    with opened(file) as dataset:
        typer.echo(describe(dataset, file))


@app.command("config")
def config_(
    defaults: Annotated[bool, typer.Option("--defaults", help="print every key with its default, as TOML")] = False,
    file: Annotated[Path | None, typer.Argument(metavar="[CONFIG]", help="check this file and print it whole")] = None,
) -> None:
    """Print the default configuration, or check one and print it with every default filled in."""
    from tokenlaw.config import defaults_text as text
    from tokenlaw.config import dumps, load

    if defaults == (file is not None):
        raise ValueError("config: give either --defaults or a CONFIG file")
    typer.echo((text() if file is None else dumps(load(file))).rstrip("\n"))


def _execute(
    command: str,
    path: Path,
    out: Path,
    resume: bool,
    seed: int | None,
    quiet: bool,
    overrides: list[str] | None,
    layers: Path | None = None,
) -> None:
    from tokenlaw import config as configuration

    c = configuration.load(path, overrides or (), seed)

    from tokenlaw import runs
    from tokenlaw.build import build

    experiment = build(c)
    _refuse_input_as_output(c, path, [out, *([layers] if layers else [])])
    tell: Callable[[str], None] = (lambda text: None) if quiet else (lambda text: typer.echo(text, err=True))
    _make_folder(out)
    if layers is not None:
        _make_folder(layers)
        runs.record_layers(experiment, layers)
    with _progress(command, experiment.plan.n_steps, quiet) as progress:
        runs.execute(command, experiment, out, resume=resume, tell=tell, progress=progress)


def _refuse_input_as_output(c: Any, path: Path, outputs: list[Path]) -> None:
    inputs = [path, *(Path(f) for f in (getattr(s, "file", None) for s in (c.layers, c.initial, c.heads)) if f)]
    for out in outputs:
        if out.is_dir():
            raise ValueError(f"--out {out}: is a directory")
        if any(out.exists() and source.exists() and out.samefile(source) for source in inputs):
            raise ValueError(f"--out {out}: is an input of this run and would be overwritten")
    if len({out.resolve() for out in outputs}) < len(outputs):
        raise ValueError(f"--record-layers {outputs[1]}: must be another file than --out")


def _make_folder(out: Path) -> None:
    out.parent.mkdir(parents=True, exist_ok=True)


@contextmanager
def _progress(command: str, n_steps: int, quiet: bool) -> "Iterator[Progress | None]":
    """Progress bar with remaining time on a terminal, nothing in a pipe."""
    if quiet or not sys.stderr.isatty():
        yield None
        return
    from rich import progress as bars
    from rich.console import Console

    columns = (
        bars.TextColumn("{task.description}"),
        bars.BarColumn(),
        bars.MofNCompleteColumn(),
        bars.TextColumn("layers"),
        bars.TimeRemainingColumn(),
    )
    with bars.Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task(command, total=n_steps)
        yield lambda step: bar.update(task, completed=step)


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _say_warning(message: Warning | str, *_: Any, **__: Any) -> None:
    typer.echo(f"warning: {_one_line(str(message))}", err=True)


def _interrupt(*_: Any) -> None:
    raise KeyboardInterrupt


def run(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code; what went wrong is one line on stderr."""
    from particles.arrays import SolverError

    signal.signal(signal.SIGTERM, _interrupt)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warnings.simplefilter("default", RuntimeWarning)
        warnings.showwarning = _say_warning
        try:
            code = app(list(sys.argv[1:] if arguments is None else arguments), standalone_mode=False)
            return int(code) if isinstance(code, int) else 0
        except KeyboardInterrupt:
            typer.echo("interrupted; go on with --resume", err=True)
            return INTERRUPTED
        except SolverError as error:
            typer.echo(f"stopped: {_one_line(str(error))}", err=True)
            return STOPPED
        except (ValueError, TypeError, OSError) as error:
            typer.echo(f"error: {_one_line(str(error))}", err=True)
            return BAD_INPUT
        except MemoryError as error:
            typer.echo(f"error: not enough memory: {_one_line(str(error))}", err=True)
            return BAD_INPUT
        except Exception as error:
            if hasattr(error, "format_message"):  # usage errors of the command line parser
                typer.echo(f"error: {_one_line(error.format_message())}", err=True)
                return BAD_INPUT
            if type(error).__name__ == "TransportError":
                typer.echo(f"stopped: {_one_line(str(error))}", err=True)
                return STOPPED
            if type(error).__name__ in ("Abort", "NoArgsIsHelpError"):
                return BAD_INPUT
            raise


def main() -> None:
    """Entry point of the command `tokenlaw`."""
    sys.exit(run())
