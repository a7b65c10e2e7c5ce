"""Command-line options from the tree: names, help, and which command has which."""

from __future__ import annotations

import subprocess
import sys

import click
import pytest
from click.testing import CliRunner

from broodmind.deploy.cli import COMMANDS, cli
from broodmind.deploy.config.options import SettingsCommand, default_in_words, with_settings
from broodmind.deploy.config.tree import entries


def invoke(*arguments, names=("intake", "network", "seed"), **options):
    found = []

    @click.command(cls=SettingsCommand)
    @with_settings(*names, **options)
    @click.option("--other")
    def command(given, **rest):
        found.append((given.values, rest))

    result = CliRunner().invoke(command, arguments)
    return found[0] if found else result


def test_options_are_settings_of_their_type_beside_the_commands_own_options():
    values, rest = invoke("--max-age", "5", "--no-shared", "--hidden", "4,2", "--other", "x")
    assert values == {"max_age": 5.0, "shared": False, "hidden": (4, 2)}
    assert rest == {"other": "x"}


def test_the_option_of_named_values_is_given_once_for_each():
    values, _ = invoke("--game-arg", "size=5", "--game-arg", "map=8x8", names=("game_args",))
    assert values == {"game_args": {"size": 5, "map": "8x8"}}
    assert invoke(names=("game_args",))[0] == {}
    assert "--game-arg NAME=VALUE" in invoke("--help", names=("game_args",)).stdout


def test_help_lists_settings_by_group_with_range_unit_and_default():
    shown = " ".join(invoke("--help").stdout.split())
    assert "which trajectories are rejected: --batch-steps INTEGER" in shown
    assert (
        "Reject play that ended longer ago than that, by the server's clock. [more than 0; in seconds; default: 3600]"
        in shown
    )
    assert "--activation [tanh|relu]" in shown
    assert "--shared / --no-shared" in shown
    assert "--seed" in shown.partition("Batches, ")[0]


def test_settings_can_be_left_out():
    assert "--max-age" not in invoke("--help", without=("max_age",)).stdout
    assert invoke("--max-age", "5", without=("max_age",)).exit_code == 2


def test_secret_settings_have_no_option():
    shown = invoke("--help", names=("connection",)).stdout
    assert "--redis-password-file" in shown
    assert "--redis-password " not in shown
    assert invoke("--redis-password", "x", names=("connection",)).exit_code == 2


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("gamma", "0.99"),
        ("n_epochs", "ppo 4, impact 4, vtrace 1"),
        ("hidden", "64,64"),
        ("max_steps", "none"),
        ("shared", "false"),
    ],
)
def test_a_default_is_described_in_words(name, words):
    assert default_in_words(entries()[name]) == words


@pytest.mark.parametrize(
    ("command", "option", "default"),
    [
        ("export", "--run", "none"),
        ("status", "--run", "default"),
        ("export", "--redis", "redis://127.0.0.1:6379"),
        ("up", "--redis", "an embedded server"),
        ("actors", "--actors", "1"),
        ("up", "--actors", "2"),
    ],
)
def test_help_shows_the_default_of_the_command(command, option, default):
    shown = " ".join(CliRunner().invoke(cli, [command, "--help"]).stdout.split())
    help_text = shown.partition(f" {option} ")[2].partition("]")[0]
    assert help_text.endswith(f"default: {default}")


def test_without_a_command_the_defaults_of_all_commands_are_listed():
    assert default_in_words(entries()["actors"]) == "1; broodmind up: 2"
    assert default_in_words(entries()["actors"], "up") == "2"
    assert default_in_words(entries()["actors"], "actors") == "1"


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_of_its_own(command):
    result = CliRunner().invoke(cli, [command, "--help"])
    assert result.exit_code == 0, result.output
    assert "Usage:" in result.stdout


@pytest.mark.parametrize("arguments", [("--help",), ("learner", "--help"), ("up", "--help"), ("actors", "--help")])
def test_help_needs_neither_numpy_nor_the_redis_client(arguments):
    code = (
        "import sys; from broodmind.deploy import cli\n"
        f"try: cli.cli.main({list(arguments)!r})\n"
        "except SystemExit: pass\n"
        "sys.exit(bool({'numpy', 'redis'} & sys.modules.keys()))"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, check=False).returncode == 0


def test_a_client_needs_no_command_line():
    code = (
        "import sys, broodmind; broodmind.connect; sys.exit(any(n == 'click' or '.deploy' in n for n in sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
