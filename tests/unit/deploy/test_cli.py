"""The command line itself: its list of commands, and what it ends with."""

from __future__ import annotations

import sys

import pytest
from click.shell_completion import ShellComplete

from broodmind.common.errors import RedisUnreachable
from broodmind.deploy import cli as cli_module
from broodmind.deploy.cli import COMMANDS, cli, main


def ended(monkeypatch, *arguments):
    """The exit code."""
    monkeypatch.setattr(sys, "argv", ["broodmind", *arguments])
    with pytest.raises(SystemExit) as exited:
        main()
    return exited.value.code


def test_a_command_that_does_not_exist_is_a_usage_error_that_names_it(monkeypatch, capsys):
    assert ended(monkeypatch, "lerner") == 2
    assert "No such command 'lerner'" in capsys.readouterr().err


def test_a_shell_completes_the_commands_that_are_shown():
    completed = ShellComplete(cli, {}, "broodmind", "_BROODMIND_COMPLETE").get_completions([], "")
    assert [each.value for each in completed] == list(COMMANDS)
    assert "actor" not in COMMANDS


@pytest.mark.parametrize(
    ("error", "code", "shown"),
    [
        (KeyboardInterrupt(), 130, ""),
        (
            RedisUnreachable("redis at x: refused,\n  expected a running server"),
            RedisUnreachable.exit_code,
            "broodmind:",
        ),
    ],
)
def test_what_ends_a_command_is_an_exit_code_and_at_most_a_line(monkeypatch, capsys, error, code, shown):
    def invoke(_context):
        raise error

    monkeypatch.setattr(cli_module.cli, "invoke", invoke)
    assert ended(monkeypatch, "status") == code
    lines = capsys.readouterr().err.strip().splitlines()
    assert [line.partition(" ")[0] for line in lines] == ([shown] if shown else [])
