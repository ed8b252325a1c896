"""`tokenlaw predict`: how alike tokens become through a random transformer, layer by layer.

Options become a request (`forecast.request`), a plan says by which method and how exactly (`forecast.plan`), the chain
(`forecast.chain`) or the mean (`forecast.mean`) answers, and `forecast.words` or a picture says what was found.
Numerical packages are imported where they are used, so that the command starts at once.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tokenlaw.tables import Table

if TYPE_CHECKING:
    from tokenlaw.answers.forecast.found import Found
    from tokenlaw.answers.forecast.plan import Plan
    from tokenlaw.answers.forecast.request import Request

Parts = list[str | Table]
LONG = 5.0  # seconds that a reader is told of
QUICK = {"realizations": 400, "samples": 8}  # of the first answer


def _nowhere(_: int) -> AbstractContextManager[Callable[[int], None]]:
    return nullcontext(lambda step: None)


@dataclass(frozen=True)
class Screen:
    """Where a forecast says how far it is.

    Attributes
    ----------
    note : receives lines that are no answer.   progress : of so many layers -> what to call with those behind.
    """

    note: Callable[[str], None] = lambda text: None
    progress: Callable[[int], AbstractContextManager[Callable[[int], None]]] = _nowhere


def answer(
    preset: str | None,
    given: Mapping[str, Any],
    kind: str | None = None,
    out: Path | None = None,
    as_numbers: bool = False,
    seed: int = 0,
    screen: Screen = Screen(),
) -> Iterator[Parts]:
    """What `tokenlaw predict` prints, part by part; writes the figure or the map where a file is given."""
    _refuse(kind, out, as_numbers)
    if out is not None:
        from tokenlaw.pictures import forecasts, paper

        out.parent.mkdir(parents=True, exist_ok=True)
    if kind is not None and out is not None:
        yield _mapped(kind, preset, given, out, seed, screen)
        return
    from tokenlaw.answers.forecast.plan import plan
    from tokenlaw.answers.forecast.request import request_of
    from tokenlaw.answers.forecast.words import as_json, as_text, headline

    request = request_of(preset, given)
    chosen = plan(request, given.get("method"), given.get("networks"), bool(given.get("gradients")))
    quick = None
    if not as_numbers:
        yield [headline(request)]
        if (quick := _quick(request, seed)) is not None:
            yield [_at_once(quick)]
    found = _found(request, chosen, seed, screen, asked=given.get("method") is not None)
    if out is not None:
        paper.save(forecasts.course(found, request.title, quick if found.method == "chain" else None), out, dpi=150)
    yield [as_json(found)] if as_numbers else as_text(found, request, quick if found.method == "chain" else None)


def _refuse(kind: str | None, out: Path | None, as_numbers: bool) -> None:
    """ValueError for options that do not go together."""
    endings = (".png",) if kind is None else (".png", ".nc")
    if out is not None and out.suffix not in endings:
        raise ValueError(f"--out: must end with {' or '.join(endings)}, got {out}")
    if kind is not None and out is None:
        raise ValueError("--map needs --out F.png or F.nc")
    if kind is not None and as_numbers:
        raise ValueError("--json: not with --map, whose numbers go to --out F.nc")


def _mapped(
    kind: str, preset: str | None, given: Mapping[str, Any], out: Path, seed: int, screen: Screen
) -> Parts:
    """The map, written."""
    from particles.files import save, whole, writing
    from tokenlaw.answers.forecast.maps import drawn_map
    from tokenlaw.pictures import forecasts, paper

    found = drawn_map(kind, preset, given, seed, screen)
    if out.suffix == ".nc":
        with writing(out), whole(out) as part:
            save(found, part, {str(name): {"_FillValue": None} for name in found.coords})
    else:
        paper.save(forecasts.map_of(found), out, dpi=150)
    told = f"{out}: {', '.join(map(str, found.data_vars))} over {kind}, method {found.attrs['method']}"
    return [told, *([f"not in this forecast: {beside}"] if (beside := found.attrs["not_included"]) else [])]


def _quick(request: "Request", seed: int) -> "Found | None":
    """The mean's answer, where it has one."""
    from tokenlaw.answers.forecast import mean

    return mean.averaged(request, seed, **QUICK) if mean.possible(request) else None


def _at_once(quick: "Found") -> str:
    beside = f", without {', '.join(quick.not_included)}" if quick.not_included else ""
    return f"at once, one overlap for all pairs{beside}: {quick.overlap.mean[-1]:.3f} after {quick.layers} layers"


def _found(request: "Request", chosen: "Plan", seed: int, screen: Screen, asked: bool) -> "Found":
    """The forecast with its advice."""
    from particles.machine import threads
    from tokenlaw.answers.forecast import advice, chain, mean, words

    if chosen.method == "mean":
        found = mean.averaged(request, seed)
        if not asked:
            promised = words.promised(chosen.seconds, chosen.networks)
            found = replace(found, notes=(*found.notes, f"{promised} on one core: --method chain"))
        return found.told(advice.by_mean(request, seed))
    seconds = chosen.seconds / min(threads(), chosen.networks)
    if seconds > LONG:
        screen.note(words.promised(seconds, chosen.networks))
    with screen.progress(chain.passes(chosen)) as tell:
        found = chain.chained(request, chosen, seed, tell)
    return found.told(advice.by_chain(request, chosen, seed))
