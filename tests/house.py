"""The house as its source says it: modules, who imports whom, circles, sizes.  Read with `ast`, nothing is imported.

    python -m tests.house

prints the rooms with their sizes, and every circle, long file and long function.
"""

import ast
import io
import sys
import tokenize
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, cached_property
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
STOREYS = ("particles", "spde", "validation", "tokenlaw")


@cache
def parsed(text: str) -> ast.Module:
    """The tree of a source; it is not to be changed."""
    return ast.parse(text)


@dataclass(frozen=True)
class House:
    """The packages below a folder."""

    root: Path = ROOT

    @cached_property
    def files(self) -> dict[str, Path]:
        """Module, by its dotted name -> file."""
        paths = (path for storey in STOREYS for path in sorted((self.root / storey).rglob("*.py")))
        return {
            ".".join(path.relative_to(self.root).with_suffix("").parts).removesuffix(".__init__"): path
            for path in paths
        }

    def is_face(self, module: str) -> bool:
        """Whether it is the `__init__` of a package or of a room in one."""
        return self.files[module].name == "__init__.py"

    def imports(self, module: str) -> tuple[tuple[int, str, str], ...]:
        """(line, module of ours, name taken from it) for all imports, those in functions and for types included."""
        return self._imports[module]

    @cached_property
    def _imports(self) -> dict[str, tuple[tuple[int, str, str], ...]]:
        return {module: tuple(self._read(module)) for module in self.files}

    def _read(self, module: str) -> Iterator[tuple[int, str, str]]:
        for node in ast.walk(parsed(self.files[module].read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.module in self.files:
                for alias in node.names:
                    inner = f"{node.module}.{alias.name}"
                    yield (node.lineno, inner, "") if inner in self.files else (node.lineno, node.module, alias.name)
            elif isinstance(node, ast.Import):
                yield from ((node.lineno, alias.name, "") for alias in node.names if alias.name in self.files)

    def past_faces(self) -> list[str]:
        """Imports from another package that do not stop at a face."""
        return [
            f"{self.files[module].relative_to(self.root)}:{line} imports {other}"
            for module in self.files
            for line, other, _ in self.imports(module)
            if other.partition(".")[0] != module.partition(".")[0] and not self.is_face(other)
        ]

    def circles(self) -> list[str]:
        """Modules of one package that import each other in a ring; faces only hand on names and do not count."""
        left = {
            module: {
                other for _, other, _ in self.imports(module)
                if other.partition(".")[0] == module.partition(".")[0] and not self.is_face(other)
            }
            for module in self.files
            if not self.is_face(module)
        }  # fmt: skip
        found = []
        while True:
            try:
                TopologicalSorter(left).prepare()
            except CycleError as error:
                ring = error.args[1]
                found.append(" <- ".join(ring))
                left[ring[1]] = left[ring[1]] - {ring[0]}
            else:
                return found

    def crowded(self, most: int = 18) -> list[str]:
        """Folders with more modules than that, the studies apart."""
        folders = {path.parent for path in self.files.values()}
        counts = {folder: sum(path.parent == folder for path in self.files.values()) for folder in folders}
        return [
            f"{folder.relative_to(self.root)}: {count} files"
            for folder, count in sorted(counts.items())
            if count > most and folder.name != "studies"
        ]

    def long_files(self, most: int = 300) -> list[str]:
        """Files with more lines than that."""
        lines = {path: len(path.read_text(encoding="utf-8").splitlines()) for path in self.files.values()}
        return [f"{path.relative_to(self.root)}: {count} lines" for path, count in lines.items() if count > most]

    def long_functions(self, most: int = 40) -> list[str]:
        """Functions with more lines of code than that, those in them included, docstrings and comments not."""
        found = []
        for path in self.files.values():
            text = path.read_text(encoding="utf-8")
            tall = [
                node for node in ast.walk(parsed(text))
                if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
                and (node.end_lineno or 0) - node.lineno >= most
            ]  # fmt: skip
            code = code_lines(text) if tall else set()
            for node in tall:
                count = sum(node.lineno <= line <= (node.end_lineno or 0) for line in code)
                if count > most:
                    found.append(f"{path.relative_to(self.root)}: {node.name}, {count} lines")
        return found

    def rooms(self) -> dict[str, int]:
        """Folder -> lines of its own files."""
        counts: dict[str, int] = {}
        for path in self.files.values():
            room = path.parent.relative_to(self.root).as_posix()
            counts[room] = counts.get(room, 0) + len(path.read_text(encoding="utf-8").splitlines())
        return counts


def code_lines(text: str) -> set[int]:
    """Numbers of the lines on which there is code: no blank ones, comments or docstrings."""
    silent = (tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER)
    docstrings = {
        line
        for node in ast.walk(parsed(text))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.Module)
        and ast.get_docstring(node, clean=False) is not None
        for line in range(node.body[0].lineno, (node.body[0].end_lineno or 0) + 1)
    }
    lines = {
        line
        for token in tokenize.generate_tokens(io.StringIO(text).readline)
        if token.type not in silent
        for line in range(token.start[0], token.end[0] + 1)
    }
    return lines - docstrings


def main() -> int:
    """Print it."""
    house = House()
    for room, lines in sorted(house.rooms().items()):
        print(f"{room:32s}{lines:6d}")
    print(f"{'all':32s}{sum(house.rooms().values()):6d}")
    faults = {
        "imports past a face": house.past_faces(), "circles": house.circles(), "crowded folders": house.crowded(),
        "files above 300 lines": house.long_files(), "functions above 40 lines of code": house.long_functions(),
    }  # fmt: skip
    for what, found in faults.items():
        print(f"{what}: {len(found)}")
        for one in found:
            print(f"    {one}")
    return 1 if any(faults.values()) else 0


if __name__ == "__main__":
    sys.exit(main())
