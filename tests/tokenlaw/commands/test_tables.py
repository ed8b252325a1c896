"""Tables of the command line: plain columns in a pipe, drawn on a terminal."""

import pytest

from tests.tokenlaw.calls import call
from tokenlaw.commands import terminal
from tokenlaw.commands.terminal import tell
from tokenlaw.tables import Table

TABLE = Table(("<8", ">7"), (("one", "1.5"), ("[b]two", "-3")), ("name", "value"))


def test_a_pipe_gets_aligned_columns(capsys):
    tell(["before", TABLE, "after"])
    assert capsys.readouterr().out == "before\nname      value\none         1.5\n[b]two       -3\nafter\n"


def test_a_terminal_gets_a_drawn_table(capsys, monkeypatch):
    monkeypatch.setattr(terminal.sys.stdout, "isatty", lambda: True, raising=False)
    tell(["before", TABLE])
    out = capsys.readouterr().out
    assert "─" in out  # the line below the headings
    assert "[b]two" in out  # text, not markup
    lines = [line.rstrip() for line in out.splitlines()]
    assert lines[0] == "before"
    assert any(line.endswith("1.5") for line in lines)


@pytest.mark.parametrize(
    "words, heading",
    [
        (["theory", "values-only", "d=3", "beta=1", "u0=0"], "critical_beta"),
        (["validate", "--list", "L1"], "L1  two-factor cosine lemma"),
    ],
)
def test_commands_print_no_lines_of_tables_in_a_pipe(capsys, words, heading):
    assert call(*words) == 0
    out = capsys.readouterr().out
    assert heading in out
    assert not any(0x2500 <= ord(letter) < 0x2580 for letter in out)


def test_a_closed_standard_output(monkeypatch):
    monkeypatch.setattr("sys.stdout", None)
    assert tell(["nobody reads this", TABLE]) is None
