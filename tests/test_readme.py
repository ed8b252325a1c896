"""README.md: its Python runs, its commands and options exist, its links lead somewhere."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
TEXT = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```python\n(.*?)^```", TEXT, re.MULTILINE | re.DOTALL)
COMMANDS = sorted({line.split("#")[0].strip() for line in re.findall(r"^    (tokenlaw .*)$", TEXT, re.MULTILINE)})


def test_there_is_something_to_test():
    assert BLOCKS
    assert len(COMMANDS) >= 6


@pytest.mark.parametrize("block", BLOCKS)
def test_python_blocks_run(block, tmp_path):
    done = subprocess.run(
        [sys.executable, "-W", "error::RuntimeWarning", "-c", block],
        cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    *means, distance = re.findall(r"-?\d+\.\d+(?:e-?\d+)?", done.stdout)
    assert len(means) == 6
    assert all(abs(float(a) - float(b)) < 0.2 for a, b in zip(means[:3], means[3:], strict=True))
    assert 0.05 < float(distance) < 0.4
    assert not list(tmp_path.iterdir())


def test_make_targets_exist():
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    named = set(re.findall(r"^    make ([a-z]+)", TEXT, re.MULTILINE)) | set(re.findall(r"`make ([a-z]+)`", TEXT))
    assert {"solve", "test"} <= named
    for target in named:
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target


def test_commands_and_options_exist():
    typer = pytest.importorskip("typer")
    from tokenlaw.commands.app import app

    group = typer.main.get_command(app)
    options = {name: {o for p in command.params for o in p.opts} for name, command in group.commands.items()}
    named = set(re.findall(r"\btokenlaw ([a-z]+)\b", " ".join(COMMANDS + re.findall(r"`tokenlaw [^`]*`", TEXT))))
    assert named <= set(options)
    for line in COMMANDS + [code.strip("`") for code in re.findall(r"`tokenlaw [a-z][^`]*`", TEXT)]:
        words = line.split()
        for option in (word for word in words if word.startswith("--")):
            assert option in options[words[1]], line
    for option in re.findall(r"`(--[a-z-]+)[^`]*`", TEXT):
        assert any(option in known for known in options.values()), option


@pytest.mark.parametrize("line", COMMANDS)
def test_input_files_of_the_commands_exist(line):
    for word in line.split():
        if word.endswith(".toml"):
            assert (ROOT / word).is_file(), word


def test_links_lead_to_files():
    for target in re.findall(r"\]\(([^)#:]+)\)", TEXT):
        assert (ROOT / target).is_file(), target


def test_the_picture_is_small():
    assert (ROOT / "docs" / "quickstart.png").stat().st_size < 400_000


def test_exit_codes_are_those_of_the_command_line():
    from tokenlaw.commands import app

    for code in (app.BAD_INPUT, app.STOPPED, app.INTERRUPTED):
        assert f"**{code}**" in TEXT
