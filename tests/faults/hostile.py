"""HDF5 files that are made or damaged to do harm, given to every reader: read, or one line, in bounded time and memory.

tests/data/hostile.json holds files, packed by zlib in base85: written with h5py 3.16 (sizes, filters, pieces of other
lengths than declared), or found among files with random damage because the library hung on them or died.
"""

import base64
import json
import resource
import shutil
import zlib
from collections.abc import Iterator
from pathlib import Path
from random import Random

import netCDF4
import numpy as np

from particles.files import checksum, trial
from tests.faults.runs import COMMANDS, Bench, Tally, one_line, run
from tests.tokenlaw.calls import HOMOGENIZED, TRANSFORMER

STORED: dict[str, str] = json.loads((Path(__file__).parents[1] / "data" / "hostile.json").read_text())
SPACE = 1 << 31  # bytes that a command may ask for beside what it has


def stored(name: str, path: Path) -> Path:
    """Write one of the files."""
    path.write_bytes(zlib.decompress(base64.b85decode(STORED[name])))
    return path


def readers(bench: Bench, path: Path) -> dict[str, list[object]]:
    """The commands that open a file, and the keys that name one."""
    with_layers, with_heads = bench.folder / "layers.toml", bench.folder / "heads.toml"
    if not with_heads.exists():
        with_layers.write_text(HOMOGENIZED.replace('[heads]\nkind = "gaussian"\n', ""))
        with_heads.write_text(TRANSFORMER)
    ends = ["--out", path.with_suffix(".out.nc"), "-q", "--set"]
    return {
        "info": ["info", path],
        "plot": ["plot", path, "--out", path.with_suffix(".png")],
        "report": ["report", path, "--out", path.with_suffix(".html")],
        "initial.file": ["simulate", bench.config, *ends, f"initial={{kind='tokens',file='{path}'}}"],
        "layers.file": ["simulate", with_layers, *ends, f"layers={{kind='recorded',file='{path}'}}"],
        "heads.file": ["simulate", with_heads, *ends, f"heads={{kind='fixed',file='{path}'}}"],
    }


def narrow() -> None:
    """Little memory, and little patience with files that do not come to an end."""
    trial.SECONDS = 1.0
    there = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (there + SPACE, resource.RLIM_INFINITY))


def _given(bench: Bench, path: Path, reader: str) -> str:
    code, said = run(*readers(bench, path)[reader], prepare=narrow)
    shutil.rmtree(path.parent)
    if code == 0:
        return "read"
    good = one_line(code, said, (2, 3)) and "not enough memory" not in said[0]
    good &= path.name in said[0] if said else False  # it was the file that was refused
    return "one line" if good else f"LOSS: {reader}: {code}: {said[-2:]}"


def made(bench: Bench, random: Random, tries: int) -> Iterator[Tally]:
    """Each of the stored files, given to some of the readers."""
    tally, names = Tally("hostile HDF5: made to do harm, or found to"), list(readers(bench, Path("a.nc")))
    for name in STORED:
        for reader in random.sample(names, min(tries, len(names))):
            tally.add(_given(bench, stored(name, bench.fresh("hostile")), reader))
    yield tally


def mutated(bench: Bench, random: Random, tries: int) -> Iterator[Tally]:
    """Files of a run without its checksum, and of tokens, with a few bytes changed at random places."""
    tally = Tally("hostile HDF5: structure damaged at random")
    for k in range(tries):
        path = bench.half(COMMANDS[k % 3]) if k % 2 else small(bench.fresh("tokens"))
        checksum.unseal(path)
        path.write_bytes(changed(path.read_bytes(), random))
        tally.add(_given(bench, path, random.choice(["info", "info", "plot", "initial.file"])))
    yield tally


def small(path: Path) -> Path:
    """A file of tokens with text and packed numbers: most of its bytes are structure."""
    with netCDF4.Dataset(path, "w") as file:
        for name in ("token", "component"):
            file.createDimension(name, 3)
        packed = file.createVariable(
            "tokens", "f8", ("token", "component"), zlib=True, shuffle=True, fletcher32=True, chunksizes=(2, 2)
        )
        packed[...] = np.eye(3)
        packed.units = "1"
        file.createVariable("name", str, ("token",))[...] = np.array(["a", "bb", "ccc"], dtype=object)
    return path


def changed(data: bytes, random: Random) -> bytes:
    """One to three changes: a bit, a byte, a length or an address, a sector, a copy from elsewhere."""
    found = bytearray(data)
    for _ in range(random.choice([1, 1, 1, 2, 3])):
        place, other = random.randrange(len(found)), random.randrange(len(found))
        width = random.choice([1, 2, 4, 8])
        match random.randrange(5):
            case 0:
                found[place] ^= 1 << random.randrange(8)
            case 1:
                found[place : place + width] = random.choice([b"\xff", b"\0", b"\x7f", random.randbytes(1)]) * width
            case 2:
                found[place // 8 * 8 : place // 8 * 8 + 8] = other.to_bytes(8, "little")
            case 3:
                found[place // 512 * 512 : place // 512 * 512 + 512] = bytes(512)
            case _:
                found[place : place + 16] = found[other : other + 16]
    return bytes(found)
