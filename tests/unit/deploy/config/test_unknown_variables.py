"""A mistyped environment variable is named once, with the one that was probably meant; one that has a use is not."""

from __future__ import annotations

import os

import pytest
from click.testing import CliRunner

from broodmind.actors.supervision.progress_pipe import FOLDER
from broodmind.deploy.cli import cli


def warnings(**environment):
    """What `broodmind config` writes on standard error with these variables."""
    result = CliRunner().invoke(cli, ["config", "--json"], env=environment, catch_exceptions=False)
    assert result.exit_code == 0
    return result.stderr.splitlines()


@pytest.mark.parametrize(
    ("variable", "advice"),
    [
        ("BROODMIND_GAMA", "did you mean BROODMIND_GAMMA?"),
        ("BROODMIND_MAX_STALNESS", "did you mean BROODMIND_MAX_STALENESS?"),
        ("BROODMIND_REDIS_PASSWD", "did you mean BROODMIND_REDIS_PASSWORD?"),
        ("BROODMIND_CONFIG_FILE", "did you mean BROODMIND_CONFIG?"),
        ("BROODMIND_RATE", "did you mean BROODMIND_LEARNING_RATE?"),  # an old name, which no variable ever had
        ("BROODMIND_UP_MAX_STEPPS", "did you mean BROODMIND_MAX_STEPS?"),
        ("BROODMIND_XYZZY", "`broodmind config` prints all settings"),
    ],
)
def test_a_mistyped_variable_is_named_once_without_its_value(variable, advice):
    expected = f"broodmind: environment variable {variable} names no setting and has no effect; {advice}"
    assert warnings(**{variable: "S3cret"}) == [expected]


def test_every_mistyped_variable_is_named():
    assert len(warnings(BROODMIND_GAMA="1", BROODMIND_XYZZY="1", OTHER="1")) == 2


@pytest.mark.parametrize(
    "environment",
    [
        {"BROODMIND_SEED": "3"},
        {"BROODMIND_REDIS_PASSWORD": "S3cret"},
        {"BROODMIND_CONFIG": os.devnull},  # an empty file
        {FOLDER: "/folder"},
        {"BROODMIND_VERBOSE": "1"},  # options that are no settings have variables too
        {"BROODMIND_STATUS_AS_JSON": "1"},
        {"BROODMIND_UP_MAX_STEPS": "5"},  # the name that a setting had before 0.2, for another command
        {"BROODMIND_UP_RATE": "0.5"},
        {"BROODMIND_XYZZY": ""},  # an empty variable is as good as none
    ],
    ids=lambda environment: next(iter(environment)),
)
def test_a_variable_that_has_a_use_is_not_named(environment):
    assert warnings(**environment) == []


def test_a_child_process_repeats_no_warning():
    result = CliRunner().invoke(cli, ["actor", "--inherit", "a"], env={"BROODMIND_GAMA": "1"}, input="")
    assert "BROODMIND_GAMA" not in result.stderr
