"""Files that are damaged, cut, of another version, of another run: resumed bitwise, or refused with one line."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random

import netCDF4

from particles.files import checksum, placing
from particles.files import recorder as output
from tests.faults.runs import COMMANDS, SETTINGS, Bench, Tally, one_line, run, words
from tests.tokenlaw.runs.test_resume import seal_again

Damage = Callable[[bytearray, Random], None]


def _cut(data: bytearray, random: Random) -> None:
    del data[random.randrange(len(data)) :]


def _flip(data: bytearray, random: Random) -> None:
    data[random.randrange(len(data))] ^= 1 << random.randrange(8)


def _zero(data: bytearray, random: Random) -> None:
    begin = random.randrange(len(data)) // 512 * 512
    data[begin : begin + 512] = bytes(len(data[begin : begin + 512]))


def _noise(data: bytearray, random: Random) -> None:
    begin = random.randrange(len(data))
    end = min(begin + 64, len(data))
    data[begin:end] = random.randbytes(end - begin)


def _longer(data: bytearray, random: Random) -> None:
    data += random.randbytes(random.randrange(1, 4096))


DAMAGES: dict[str, Damage] = {
    "file cut at a random place": _cut,
    "one bit of the file turned": _flip,
    "a sector of the file zeroed": _zero,
    "64 bytes of the file overwritten": _noise,
    "bytes added at the end of the file": _longer,
}


def damaged(bench: Bench, random: Random, tries: int) -> Iterator[Tally]:
    """A file that is resumed after damage on the disk: bits that no one reads do no harm, all others are found."""
    for text, damage in DAMAGES.items():
        tally = Tally(text)
        for k in range(tries if damage is not _flip else 3 * tries):
            command = COMMANDS[k % 3]
            out = bench.half(command)
            data = bytearray(out.read_bytes())
            damage(data, random)
            out.write_bytes(data)
            code, said = run(*words(command, bench.config, out, "--resume"))
            if code == 0 and not said:
                tally.add(bench.judged(command, out))  # --resume of a complete run, and equal to the reference
            elif one_line(code, said) and out.read_bytes() == data:
                tally.add("one line, file intact")
            else:
                tally.add(f"LOSS: {command}: {code}: {said[:3]}")
        yield tally


def turned_between_writes(bench: Bench, random: Random, tries: int) -> Iterator[Tally]:
    """A bit of the file, or of the journal, that turns while a run goes on: it is never given a right checksum."""
    for journals in (False, True):
        tally = Tally(f"one bit of the {'journal' if journals else 'file'} turned between two writes")
        for k in range(tries):
            command, out = COMMANDS[k % 3], bench.fresh("turned")
            code, said = run(
                *words(command, bench.config, out), prepare=_turning(out, random.randrange(1, 7), random, journals)
            )
            if code == 0:
                tally.add(bench.judged(command, out))  # the journal was not there yet
            elif not one_line(code, said, codes=(3,)) or "has changed since" not in said[0]:
                tally.add(f"LOSS: {command}: {code}: {said[-2:]}")
            elif journals:
                tally.add(bench.judged(command, out))  # what is whole of the journal is taken up
            else:
                sealed = checksum.intact(out)
                tally.add(f"LOSS: {command}: was sealed" if sealed else "one line, not sealed")
                shutil.rmtree(out.parent)
        yield tally


def _turning(out: Path, call: int, random: Random, journals: bool) -> Callable[[], object]:
    """Before the given record, a bit is turned."""
    place, bit = random.random(), 1 << random.randrange(8)

    def arm() -> None:
        real, calls = output.Recorder.append, []
        if journals:
            output.SHARE, output.Recorder.__init__.__defaults__ = 10**9, (None, None, None, 1e-9)
        path = placing.folder(out) / "tokenlaw.journal" if journals else out

        def append(self: output.Recorder, *arguments: object) -> None:
            calls.append(None)
            if len(calls) > call and path.exists():
                data = bytearray(path.read_bytes())
                data[int(place * (len(data) - (0 if journals else checksum.LENGTH)))] ^= bit
                path.write_bytes(data)
                output.Recorder.append = real
            real(self, *arguments)

        output.Recorder.append = append

    return arm


def seen_by_readers(bench: Bench, random: Random, tries: int) -> Iterator[Tally]:
    """Damaged files given to the commands that read: what they can tell, or one line; no traceback, no crash."""
    tally = Tally("damaged file given to info or plot")
    for k in range(tries):
        command, damage = COMMANDS[k % 3], random.choice(list(DAMAGES.values()))
        out = bench.half(command)
        data = bytearray(out.read_bytes())
        damage(data, random)
        out.write_bytes(data)
        picture = out.with_suffix(".png")
        reader = ["info", out] if k % 4 else ["plot", out, "--out", picture]
        code, said = run(*reader)
        if code == 0 and (said or picture.exists()):
            tally.add("read")
        else:
            tally.add("one line" if one_line(code, said) else f"LOSS: {command} {reader[0]}: {code}: {said[-3:]}")
        shutil.rmtree(out.parent)
    yield tally


def of_others(bench: Bench, random: Random, tries: int) -> Iterator[Tally]:
    """Files of another command, configuration or version, or of no run at all: one line, untouched."""
    tally = Tally("file of another command, configuration, version")
    for command in COMMANDS:
        for text, change in OTHERS.items():
            out = bench.half(command)
            settings = change(out, bench, command)
            before = out.read_bytes()
            code, said = run(*words(command, bench.config, out, "--resume", settings=(*SETTINGS, *settings)))
            good = one_line(code, said) and out.read_bytes() == before
            tally.add("one line, file intact" if good else f"LOSS: {command}, {text}: {code}: {said}")
    yield tally


def _another_command(out: Path, bench: Bench, command: str) -> tuple[str, ...]:
    shutil.copyfile(bench.half(next(name for name in COMMANDS if name != command)), out)
    return ()


def _attribute(name: str, value: str) -> Callable[[Path, Bench, str], tuple[str, ...]]:
    """A file that says something else of itself, and is whole."""

    def change(out: Path, bench: Bench, command: str) -> tuple[str, ...]:
        with netCDF4.Dataset(out, "a") as file:
            file.setncattr(name, value)
        seal_again(out)
        return ()

    return change


def _unsealed(out: Path, bench: Bench, command: str) -> tuple[str, ...]:
    checksum.unseal(out)
    return ()


def _contents(data: bytes) -> Callable[[Path, Bench, str], tuple[str, ...]]:
    def change(out: Path, bench: Bench, command: str) -> tuple[str, ...]:
        out.write_bytes(data)
        return ()

    return change


def _setting(text: str) -> Callable[[Path, Bench, str], tuple[str, ...]]:
    return lambda out, bench, command: (text,)


OTHERS: dict[str, Callable[[Path, Bench, str], tuple[str, ...]]] = {
    "another command": _another_command,
    "a newer version": _attribute("tokenlaw_version", "99.0.0"),
    "an older version": _attribute("tokenlaw_version", "0.0.1"),
    "a configuration of another version": _attribute("configuration", "[new]\nkey = 1\n"),
    "no checksum": _unsealed,
    "an empty file": _contents(b""),
    "a text": _contents(b"not a file of a run\n"),
    "a picture": _contents(b"\x89PNG\r\n\x1a\n" + bytes(1000)),
    **{f"another {text.split('=')[0]}": _setting(text) for text in (
        "model.beta=3.0", "heads.sigma_v=0.5", "heads.head_dim=2", "layers.dt=0.01", "layers.nodes=3",
        "layers.retraction='geodesic'", "initial.kind='uniform'", "solve.lmax=13", "solve.field_tol=1e-5",
        "solve.remap_every=2", "solve.carried_nodes=[12,26]", "solve.on_unresolved='stop'", "simulate.tokens=7",
        "simulate.replica=1", "noise.seed=8", "noise.member=1", "output.save_every=0.1", "layers.t_end=0.1",
    )},
}  # fmt: skip
