"""The command line.  Exit codes: 0 done; 2 bad input; 3 the run stopped on its own; 130 interrupted, resumable."""

import atexit
import os
import signal
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from contextvars import ContextVar
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tokenlaw.converge_command import HELP, converge
from tokenlaw.ensemble_command import ensemble
from tokenlaw.predict_command import predict
from tokenlaw.report_command import report
from tokenlaw.tables import printable

if TYPE_CHECKING:
    from particles.simulate import Progress

BAD_INPUT, STOPPED, INTERRUPTED = 2, 3, 130
LONGEST_WORD = 80  # of a refusal


class Interrupted(Exception):
    """Ctrl-C or a request to end, during a run."""


app = typer.Typer(
    help="Solve the stochastic Fokker-Planck equation of random deep transformers, with the transformers beside it.",
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

Config = Annotated[Path, typer.Argument(metavar="CONFIG", help="configuration, a TOML file")]
Out = Annotated[Path, typer.Option("--out", "-o", metavar="F.nc", help="file to write")]
Resume = Annotated[bool, typer.Option("--resume", help="go on from the state in the file")]
Seed = Annotated[str | None, typer.Option("--seed", metavar="N", help="overrides noise.seed")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="no notes and no progress bar")]
Set = Annotated[
    list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="override one configuration key (repeatable)")
]
File = Annotated[Path, typer.Argument(metavar="F.nc", help="file of a run")]
app.command()(predict)
app.command()(ensemble)
app.command()(report)
app.command(help=HELP)(converge)


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
    """Density of the conditional token law on S^2 or S^1, to a NetCDF file."""
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
    with _heavy("dask"):
        from tokenlaw import plots
        from tokenlaw.files import opened

    _check_outputs({"--out": out}, [file])
    with opened(file) as dataset:
        try:
            figure = plots.plot(dataset)
        except ValueError as error:
            raise ValueError(f"{file}: {error}") from None
    plots.save(figure, out)


@app.command()
def info(file: File) -> None:
    """What a file holds: run, records, diagnostics, versions and configuration."""
    with _heavy("dask"):
        from particles.checkpoint_files import is_model
        from tokenlaw.files import describe, describe_encoder, opened
        from tokenlaw.tables import tell

    if is_model(file):
        tell(describe_encoder(file))
        return
    with opened(file) as dataset:
        try:
            text = describe(dataset, file)
        except ValueError as error:
            raise ValueError(f"{file}: {error}") from None
    tell(text)


@app.command()
def validate(
    claims: Annotated[list[str] | None, typer.Argument(metavar="[CLAIM ...]", help="claims; all if left out")] = None,
    out: Annotated[Path | None, typer.Option("--out", "-o", metavar="DIR", help="folder to write")] = None,
    quick: Annotated[bool, typer.Option("--quick", help="small sizes: minutes in all")] = False,
    list_: Annotated[bool, typer.Option("--list", help="list the claims and end")] = False,
    seed: Annotated[int, typer.Option("--seed", metavar="N", min=0, help="seed of all random numbers")] = 0,
    quiet: Quiet = False,
) -> None:
    """Studies of published claims, with verdicts computed from the numbers."""
    with _heavy("dask"):
        from tokenlaw import validate as studies

    if list_:
        studies.tell_claims(studies.chosen(claims or ()))
        return
    if out is None:
        raise ValueError("validate: give --out DIR, or --list")
    if out.exists() and not out.is_dir():
        raise ValueError(f"--out {out}: is a file, must be the name of a folder")
    studies.execute(
        claims or (), out, quick=quick, seed=seed, tell=(lambda text: None) if quiet else _say
    )


@app.command("config")
def config_(
    defaults: Annotated[bool, typer.Option("--defaults", help="print every key with its default, as TOML")] = False,
    file: Annotated[Path | None, typer.Argument(metavar="[CONFIG]", help="check this file and print it whole")] = None,
) -> None:
    """Print the default configuration, or check one and print it with every default filled in."""
    if defaults == (file is not None):
        raise ValueError("config: give either --defaults or a CONFIG file")
    with _held():
        from tokenlaw.config import defaults_text, dumps, load

    if file is None:
        with _held():
            text = defaults_text()  # with names from the tables of objects
    else:
        c = load(file)
        with _heavy("dask"):
            from tokenlaw.build import build

            text = dumps(build(c).configuration)
    typer.echo(text.rstrip("\n"))


@app.command()
def theory(
    name: Annotated[str | None, typer.Argument(metavar="[NAME]", help="which result; --list explains them")] = None,
    settings: Annotated[list[str] | None, typer.Argument(metavar="[KEY=VALUE]...", help="its arguments")] = None,
    json: Annotated[bool, typer.Option("--json", help="print one JSON object")] = False,
    list_: Annotated[bool, typer.Option("--list", help="explain the results, all or NAME, and what they take")] = False,
) -> None:
    """Exact one-dimensional and closed-form results: exponents, probabilities, kernels, drifts."""
    with _held():
        from tokenlaw import theory as table
        from tokenlaw.tables import tell

    if name is None and not list_:
        raise ValueError(f"theory: give a NAME or --list; names: {', '.join(table.ENTRIES)}")
    if not list_ and name is not None:
        with _heavy():
            import particles.reduced  # noqa: F401 - explaining needs none of it
        result = table.evaluate(name, settings or ())
        tell([table.to_json(result) if json else table.to_table(name, result)])
        return
    if settings:
        raise ValueError("theory: --list takes a NAME or nothing")
    names = list(table.ENTRIES) if name is None else [name]
    if json:
        typer.echo(table.list_json(names))
        return
    from rich.console import Console

    Console(highlight=False).print(table.list_table(names))


def _execute(
    command: str,
    path: Path,
    out: Path,
    resume: bool,
    seed: str | None,
    quiet: bool,
    overrides: list[str] | None,
    layers: Path | None = None,
) -> None:
    try:
        with _held():
            from tokenlaw import config as configuration

        c = configuration.load(path, [*(overrides or ()), *([] if seed is None else [f"noise.seed={seed}"])])

        with _heavy("distributed"):
            from tokenlaw import runs
            from tokenlaw.build import build

            experiment = build(c)  # reads input files
        inputs = [path, *(read for files in experiment.inputs.values() for read in files)]
        _check_outputs({"--out": out} | ({} if layers is None else {"--record-layers": layers}), inputs)
        tell: Callable[[str], None] = (lambda text: None) if quiet else _say
        with _progress(command, experiment.plan.n_steps, quiet) as progress:
            runs.execute(command, experiment, out, resume=resume, layers=layers, tell=tell, progress=progress)
    except KeyboardInterrupt:
        raise Interrupted("interrupted; go on with --resume") from None


def _check_outputs(outputs: dict[str, Path], inputs: list[Path]) -> None:
    """Refuse what cannot or must not be written before any work starts; make missing folders."""
    for option, out in outputs.items():
        if out.is_dir():
            raise ValueError(f"{option} {out}: is a directory, must be the name of a file")
        if out.exists() and not out.is_file():
            raise ValueError(f"{option} {out}: is not a regular file")
        if any(out.exists() and source.exists() and out.samefile(source) for source in inputs):
            raise ValueError(f"{option} {out}: is an input of this run and would be overwritten")
        if out.exists() and not os.access(out, os.W_OK):
            raise ValueError(f"{option} {out}: is there already and not writable")
    if len({out.resolve() for out in outputs.values()}) < len(outputs):
        raise ValueError(f"--record-layers {outputs['--record-layers']}: must be another file than --out")
    from particles.output import make_folder

    for option, out in outputs.items():
        try:
            make_folder(out.parent)
        except OSError as error:
            raise ValueError(f"{option} {out}: cannot make the folder {out.parent} ({error.strerror})") from None
        if not os.access(out.parent, os.W_OK | os.X_OK):
            raise ValueError(f"{option} {out}: the folder {out.parent} is not writable")


@contextmanager
def _progress(command: str, n_steps: int, quiet: bool, unit: str = "layers") -> "Iterator[Progress]":
    """Progress bar with remaining time on a terminal, nothing in a pipe; ends the run where Ctrl-C went unheard."""
    if quiet or not sys.stderr.isatty():
        yield lambda step: _obey()
        return
    from rich import progress as bars
    from rich.console import Console

    columns = (
        bars.TextColumn("{task.description}"),
        bars.BarColumn(),
        bars.MofNCompleteColumn(),
        bars.TextColumn(unit),
        bars.TimeRemainingColumn(),
    )
    with bars.Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task(command, total=n_steps)

        def show(step: int) -> None:
            bar.update(task, completed=step)
            _obey()

        yield show


def _say(text: str) -> None:
    """A line on stderr; a run goes on where nobody reads it."""
    with suppress(OSError):
        typer.echo(printable(text), err=True)


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _warnings_as_notes() -> Callable[..., None]:
    """How warnings are shown: a line each, the same line once."""
    said: set[str] = set()

    def say(message: Warning | str, *_: Any, **__: Any) -> None:
        line = f"warning: {_one_line(str(message))}"
        if line not in said:
            said.add(line)
            _say(line)

    return say


def _usage(error: Any) -> str:
    """What the parser of the command line refuses, with what it allows."""
    text, context = str(error.format_message()).rstrip("."), getattr(error, "ctx", None)
    text = " ".join(word if len(word) <= LONGEST_WORD else f"{word[:LONGEST_WORD]}..." for word in text.split(" "))
    if context is None:
        return text
    commands = getattr(context.command, "commands", None)
    if commands:
        return f"{text}; commands: {', '.join(commands)}"
    if "option" in text.lower():
        options = [name for parameter in context.command.params for name in parameter.opts if name.startswith("--")]
        return f"{text}; options: {', '.join(options)}"
    return f"{text}; usage: {_one_line(context.get_usage()).removeprefix('Usage: ')}"


def _ending(error: Exception) -> tuple[int, str]:
    """Exit code and one line for what ended a command; what is not foreseen is raised again."""
    if hasattr(error, "format_message"):
        return BAD_INPUT, f"error: {_usage(error)}"
    if isinstance(error, Interrupted):
        return INTERRUPTED, str(error)
    if isinstance(error, MemoryError):
        return BAD_INPUT, f"error: not enough memory: {error}"

    from particles.arrays import SolverError
    from particles.output import WriteError

    if isinstance(error, SolverError) or (isinstance(error, WriteError) and error.begun):
        return STOPPED, f"stopped: {error}"
    if type(error).__name__ in ("TransportError", "EnsembleError"):
        return STOPPED, f"stopped: {error}"
    if isinstance(error, RuntimeError) and str(error).startswith("NetCDF: "):  # a chunk that fails its Fletcher sum
        return BAD_INPUT, f"error: an input file is damaged and cannot be read ({error})"
    if isinstance(error, ValueError | TypeError | OSError):
        return BAD_INPUT, f"error: {error}"
    raise error


def run(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code; what went wrong is one line on stderr."""
    with warnings.catch_warnings(), ExitStack() as stack:
        _until_its_end.set(stack)
        warnings.simplefilter("ignore")
        warnings.simplefilter("default", RuntimeWarning)
        warnings.showwarning = _warnings_as_notes()
        try:
            _signals["held"] = False
            _obey()
            arguments = sys.argv[1:] if arguments is None else arguments
            code = app(list(arguments), prog_name="tokenlaw", standalone_mode=False)
            _signals["held"] = True  # what is left to say is said
        except KeyboardInterrupt:
            _signals["held"] = True
            code = INTERRUPTED
        except Exception as error:
            if _signals["asked"] and not isinstance(error, Interrupted):  # what an interrupt has become on its way
                error = Interrupted("interrupted")
            code, line = _ending(error)
            _say(_one_line(line))
            return code
    if code == INTERRUPTED:  # outside a run: nothing to go on with
        _say("interrupted")
    return code if isinstance(code, int) else 0


_until_its_end: ContextVar[ExitStack] = ContextVar("resources of the command")
_signals = {"asked": False, "held": False}


def _interrupt(*_: Any) -> None:
    """Handler of Ctrl-C and of a request to end."""
    _signals["asked"] = True
    if not _signals["held"]:
        raise KeyboardInterrupt


def _obey() -> None:
    """Raise what an interrupt could not raise: Python swallows it in callbacks of its own."""
    if _signals["asked"]:
        raise KeyboardInterrupt


@contextmanager
def _held() -> Iterator[None]:
    """Interrupts wait: in the middle of an import they become tracebacks."""
    _signals["held"] = True
    try:
        yield
    finally:
        _signals["held"] = False
    _obey()


@contextmanager
def _heavy(dask: str = "") -> Iterator[None]:
    """Heavy imports of a command; from then on its linear algebra keeps to one thread, as that of a run does.

    Several threads take longer over matrices as small as ours, and share sums differently.  `dask` is what the command
    will have loaded of it, "dask" to read datasets, "distributed" to write them.
    """
    with _held():
        if dask:
            from tokenlaw.dask_settings import fitting

            _until_its_end.get().enter_context(fitting(dask))
        yield
        from particles.parallel import one_blas_thread

        _until_its_end.get().enter_context(one_blas_thread())


def _unraisable(found: Any) -> None:
    """What Python says of exceptions in callbacks: of an interrupt nothing, it is raised again by `_obey`."""
    if not isinstance(found.exc_value, KeyboardInterrupt):
        sys.__unraisablehook__(found)


def _open_streams() -> None:
    """Give a process that was started with closed streams new ones; files would take their numbers, and their text."""
    while (number := os.open(os.devnull, os.O_RDWR)) <= 2:
        pass
    os.close(number)
    sys.stdout = sys.stdout or open(os.devnull, "w")
    sys.stderr = sys.stderr or open(os.devnull, "w")


def _leave(ended: list[int]) -> None:
    """Keep the exit code of an interrupt: where it came in the middle of `exec`, Python would die of SIGINT."""
    if ended == [INTERRUPTED]:
        for stream in (sys.stdout, sys.stderr):
            with suppress(OSError, ValueError):
                stream.flush()
        os._exit(INTERRUPTED)


def main() -> None:
    """Entry point of the command `tokenlaw`."""
    _open_streams()
    numbers = [
        number
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
        if signal.getsignal(number) is not signal.SIG_IGN
    ]
    _signals["held"] = True  # until `run` hears them
    ended: list[int] = []
    atexit.register(_leave, ended)  # first, and so the last to be called
    sys.unraisablehook = _unraisable
    for number in numbers:
        signal.signal(number, _interrupt)
    try:
        code = run()
    except KeyboardInterrupt:
        code = INTERRUPTED
        _say("interrupted")
    for number in numbers:
        signal.signal(number, signal.SIG_IGN)  # a second Ctrl-C: everything is said and done
    ended.append(code)
    sys.exit(code)
