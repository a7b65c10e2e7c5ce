"""Names of before: each still works, says what to write instead, and gives way to the new one."""

from __future__ import annotations

import click
import pytest
from click.testing import CliRunner

from broodmind.common import deprecated
from broodmind.common.errors import ConfigError
from broodmind.deploy.config.given import of_environment, of_file
from broodmind.deploy.config.options import with_settings
from broodmind.deploy.config.tree import entries

VALUES = {bool: (), int: ("3",), float: ("0.5",), str: ("cut",)}


def run(*arguments):
    """What a command with every setting was given, and what it said."""
    found = {}

    @click.command()
    @with_settings("algorithm", "network", "rollout", "intake", "actors")
    def command(given):
        found.update(given.values)

    result = CliRunner().invoke(command, arguments, catch_exceptions=False)
    return found, result


@pytest.mark.parametrize("old", deprecated.SETTINGS)
def test_an_old_option_sets_the_new_one_and_warns(old):
    field = entries()[deprecated.SETTINGS[old]].field
    dashed = old.replace("_", "-")
    value = VALUES[field.kind]
    found, result = run(f"--{dashed}", *value)
    assert found == {field.name: field.convert(*value or ["true"])}
    assert result.stderr == (
        f"broodmind: --{dashed} is deprecated and ends with 0.3, use --{field.name.replace('_', '-')}\n"
    )


def test_an_old_switch_can_be_off():
    assert run("--no-normalise")[0] == {"normalize_observations": False}


@pytest.mark.parametrize("old", [*deprecated.HYPERPARAMETERS, "gamma", "popart"])
def test_an_old_assignment_sets_the_new_setting(old):
    name = deprecated.HYPERPARAMETERS.get(old, old)
    value = "sqrt" if name == "learning_rate_scaling" else "1"
    found, result = run("--set", f"{old}={value}")
    assert found == {name: entries()[name].field.convert(value)}
    assert f"--set {old} is deprecated and ends with 0.3, use {entries()[name].option}" in result.stderr


def test_assignments_add_up():
    assert run("--set", "clip=0.1", "--set", "gamma=0.5")[0] == {"clip_range": 0.1, "gamma": 0.5}


@pytest.mark.parametrize(
    ("assignment", "message"),
    [
        ("nonsense=1", "set: 'nonsense', expected NAME=VALUE with a hyperparameter: anneal_steps, baseline, c_bar"),
        ("gama=1", "set: 'gama', expected a hyperparameter; did you mean --gamma?"),
        ("gamma", "set: 'gamma', expected gamma=VALUE"),
        ("max_staleness=1", "set: 'max_staleness', expected the option --max-staleness, because --set sets only hyper"),
        ("redis_password=S3cret", "set: 'redis_password', expected NAME=VALUE with a hyperparameter: "),
    ],
)
def test_a_mistaken_assignment_says_what_is_expected(assignment, message):
    with pytest.raises(ConfigError) as rejected:
        run("--set", assignment)
    assert message in str(rejected.value)
    assert "S3cret" not in str(rejected.value)


def test_the_new_name_overrides_the_old_one():
    assert run("--rate", "0.5", "--learning-rate", "0.25")[0] == {"learning_rate": 0.25}


def test_a_setting_without_effect_is_still_taken_and_says_what_does_its_work(capsys, tmp_path):
    says = "is deprecated and ends with 0.3, use nothing: an actor's share follows from batch_steps or batch_games\n"
    found, result = run("--high-water", "4")
    assert (found, result.stderr) == ({}, f"broodmind: --high-water {says}")
    for variable in ("BROODMIND_HIGH_WATER", "BROODMIND_UP_HIGH_WATER"):
        assert of_environment("up", {variable: "4"}).values == {}
        assert capsys.readouterr().err == f"broodmind: {variable} {says}"
    file = tmp_path / "run.toml"
    file.write_text("[rollout]\nhigh_water = 4\nfragment_length = 8\n")
    assert of_file(file).values == {"fragment_length": 8}
    assert capsys.readouterr().err == f"broodmind: high_water in {file} {says}"


def test_no_old_name_is_in_the_help():
    _, result = run("--help")
    assert "--clip-range" in result.stdout
    assert not [
        old
        for old in (*deprecated.SETTINGS, *deprecated.ENDED_SETTINGS)
        if f"--{old.replace('_', '-')} " in result.stdout
    ]
    assert "--set" not in result.stdout


def test_variables_with_the_commands_name_still_work(capsys):
    found = of_environment(
        "up", {"BROODMIND_UP_MAX_STEPS": "5", "BROODMIND_UP_RATE": "0.5", "BROODMIND_LEARNER_SEED": "3"}
    )
    assert found.values == {"max_steps": 5, "learning_rate": 0.5}
    shown = capsys.readouterr().err
    assert "BROODMIND_UP_RATE is deprecated and ends with 0.3, use BROODMIND_LEARNING_RATE" in shown
    assert of_environment("up", {"BROODMIND_UP_SEED": "5", "BROODMIND_SEED": "6"}).values == {"seed": 6}


def test_every_new_name_is_a_setting():
    assert {*deprecated.SETTINGS.values(), *deprecated.HYPERPARAMETERS.values()} <= entries().keys()
    assert set(deprecated.STATISTICS.values()) <= entries().keys()
