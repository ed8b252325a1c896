"""The command line.  Exit codes: 0 done; 2 bad input; 3 the run stopped on its own; 130 interrupted, resumable."""

import atexit
import os
import signal
import sys
import warnings
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from typing import Annotated, Any

import typer

from tokenlaw.commands import answers, configs, ensembles, networks, pictures, predict, runs, stationary
from tokenlaw.commands.terminal import (
    Interrupted,
    interrupt,
    obey,
    one_line,
    say,
    signals,
    until_its_end,
    warnings_as_notes,
)

BAD_INPUT, STOPPED, INTERRUPTED = 2, 3, 130
LONGEST_WORD = 80  # of a refusal

app = typer.Typer(
    help="Solve the stochastic Fokker-Planck equation of random deep transformers, with the transformers beside it.",
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(wanted: bool) -> None:
    if wanted:
        from importlib import metadata

        typer.echo(f"tokenlaw {metadata.version('tokenlaw')}")
        raise typer.Exit


def _threads(count: int | None) -> None:
    if count is not None:
        os.environ["TOKENLAW_THREADS"] = str(count)


@app.callback()
def _top(
    threads: Annotated[
        int | None,
        typer.Option(
            "--threads", min=1, metavar="N", callback=_threads,
            help="threads or processes of the command; default: the cores it may use; changes no number",
        ),
    ] = None,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="print the version")
    ] = False,
) -> None:
    """Options before the command."""


app.command(cls=predict.Grouped)(predict.predict)
for _command in (
    ensembles.ensemble, pictures.report, answers.converge, runs.solve, runs.simulate, runs.compare,
    pictures.plot, pictures.info, answers.validate, networks.observe, configs.config, answers.theory,
    stationary.stationary,
):  # fmt: skip
    app.command()(_command)


def _usage(error: Any) -> str:
    """What the parser of the command line refuses, with what it allows."""
    text, context = str(error.format_message()).rstrip("."), getattr(error, "ctx", None)
    text = " ".join(word if len(word) <= LONGEST_WORD else f"{word[:LONGEST_WORD]}..." for word in text.split(" "))
    if context is None:
        return text
    commands = getattr(context.command, "commands", None)
    if commands and not text.startswith("Invalid value"):
        return f"{text}; commands: {', '.join(commands)}"
    if "option" in text.lower():
        options = [name for parameter in context.command.params for name in parameter.opts if name.startswith("--")]
        return f"{text}; options: {', '.join(options)}"
    return f"{text}; usage: {one_line(context.get_usage()).removeprefix('Usage: ')}"


def _ending(error: Exception) -> tuple[int, str]:
    """Exit code and one line for what ended a command; what is not foreseen is raised again."""
    if hasattr(error, "format_message"):
        return BAD_INPUT, f"error: {_usage(error)}"
    if isinstance(error, Interrupted):
        return INTERRUPTED, str(error)
    if isinstance(error, MemoryError):
        return BAD_INPUT, f"error: not enough memory: {error}"

    from particles import RunError
    from particles.files import WriteError

    if isinstance(error, RunError) or (isinstance(error, WriteError) and error.begun):
        return STOPPED, f"stopped: {error}"
    if isinstance(error, ValueError | TypeError | OSError):
        return BAD_INPUT, f"error: {error}"
    raise error


def run(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code; what went wrong is one line on stderr."""
    with warnings.catch_warnings(), ExitStack() as stack:
        until_its_end.set(stack)
        warnings.simplefilter("ignore")
        warnings.simplefilter("default", RuntimeWarning)
        warnings.showwarning = warnings_as_notes()
        try:
            signals["held"] = False
            obey()
            arguments = sys.argv[1:] if arguments is None else arguments
            code = app(list(arguments), prog_name="tokenlaw", standalone_mode=False)
            signals["held"] = True  # what is left to say is said
        except KeyboardInterrupt:
            signals["held"] = True
            code = INTERRUPTED
        except Exception as error:
            if signals["asked"] and not isinstance(error, Interrupted):  # what an interrupt has become on its way
                error = Interrupted("interrupted")
            code, line = _ending(error)
            say(one_line(line))
            return code
    if code == INTERRUPTED:  # outside a run: nothing to go on with
        say("interrupted")
    return code if isinstance(code, int) else 0


def _unraisable(found: Any) -> None:
    """What Python says of exceptions in callbacks: of an interrupt nothing, it is raised again by `obey`."""
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


def _let_go() -> None:
    """What could not be said is not tried again at the end: Python would make an exit code of it."""
    for name in ("stdout", "stderr"):
        try:
            getattr(sys, name).flush()
        except (OSError, ValueError):
            setattr(sys, name, open(os.devnull, "w"))


def main() -> None:
    """Entry point of the command `tokenlaw`."""
    _open_streams()
    numbers = [
        number
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
        if signal.getsignal(number) is not signal.SIG_IGN
    ]
    signals["held"] = True  # until `run` hears them
    ended: list[int] = []
    atexit.register(_leave, ended)  # first, and so the last to be called
    sys.unraisablehook = _unraisable
    for number in numbers:
        signal.signal(number, interrupt)
    try:
        code = run()
    except KeyboardInterrupt:
        code = INTERRUPTED
        say("interrupted")
    for number in numbers:
        signal.signal(number, signal.SIG_IGN)  # a second Ctrl-C: everything is said and done
    _let_go()
    ended.append(code)
    sys.exit(code)
