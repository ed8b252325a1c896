"""The room of commands: options that several take are said once."""

import os

import typer

from particles.machine.parallel import VARIABLE
from tokenlaw.commands.app import app, run


def test_options_of_one_name_are_said_alike():
    commands = typer.main.get_command(app).commands.values()
    said = {}
    for command in commands:
        for option in command.params:
            for name in set(option.opts) & {"--set", "--quiet", "--json"}:
                said.setdefault(name, set()).add((option.help, option.metavar))
    assert {name: len(ways) for name, ways in said.items()} == {"--set": 1, "--quiet": 1, "--json": 1}
    seeds = {option.help for command in commands for option in command.params if "--seed" in option.opts}
    assert seeds == {"overrides noise.seed", "seed of all random numbers"}


def test_the_number_of_threads_stands_before_the_command(monkeypatch, capsys):
    monkeypatch.setenv(VARIABLE, "1")  # and comes back
    assert run(["--threads", "2", "theory", "--list"]) == 0
    assert os.environ[VARIABLE] == "2"
    capsys.readouterr()
    assert run(["--threads", "0", "theory"]) == 2
    error = capsys.readouterr().err
    assert "Invalid value for '--threads'" in error
    assert "commands:" not in error
