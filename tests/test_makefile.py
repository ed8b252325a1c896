"""The Makefile in a folder whose name has a blank."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

MAKEFILE = Path(__file__).parents[1] / "Makefile"
PYTHON = """#!/bin/sh
echo "$0" "$@" >> calls
case "$*" in
    "-c import shtns") test -e built ;;
    *"pip install"*) case "$0" in *" "*) exit 1 ;; esac; touch built ;;
esac
"""


@pytest.mark.skipif(shutil.which("make") is None, reason="needs make")
def test_shtns_builds_in_a_path_with_a_blank(tmp_path):
    """Its configure script takes no prefix with a blank, so the interpreter that builds it has another name."""
    folder = tmp_path / "a b"
    (folder / ".venv" / "bin").mkdir(parents=True)
    shutil.copy(MAKEFILE, folder)
    python = folder / ".venv" / "bin" / "python"
    python.write_text(PYTHON)
    python.chmod(0o755)
    for name in ("pyproject.toml", ".venv/.done-venv", ".venv/.done-package"):
        (folder / name).touch()
    (folder / ".venv" / ".done-venv").write_text(f"{folder}\n")
    (folder / ".venv" / ".done-package").touch()
    environment = {key: value for key, value in os.environ.items() if key not in ("MAKEFLAGS", "MAKELEVEL")}
    found = subprocess.run(
        ["make", "shtns"], cwd=folder, env=environment | {"CC": "true"}, capture_output=True, text=True, check=True
    )
    assert found.stdout == "tokenlaw: building shtns (half a minute)\n"
    assert (folder / "built").exists()
    (built,) = [line for line in (folder / "calls").read_text().splitlines() if "pip install" in line]
    assert not Path(built.partition("/venv/")[0]).exists()  # the other name is gone
