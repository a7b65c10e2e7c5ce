"""What was set, and where: precedence, files, the environment, and mistakes in them."""

from __future__ import annotations

from pathlib import Path

import pytest

from broodmind.common.errors import ConfigError
from broodmind.deploy.config.given import Given, gather, of_environment, of_file, of_values


@pytest.fixture
def write(tmp_path):
    def write(text):
        (tmp_path / "run.toml").write_text(text)
        return tmp_path / "run.toml"

    return write


def test_the_command_line_comes_before_the_environment_before_the_file(write, monkeypatch):
    file = write("seed = 2\n[intake]\nmax_staleness = 2\n[rollout]\nfragment_length = 2\n")
    monkeypatch.setenv("BROODMIND_MAX_STALENESS", "3")
    monkeypatch.setenv("BROODMIND_FRAGMENT_LENGTH", "3")
    given = gather("learner", {"fragment_length": "4"}, str(file))
    assert given.values == {"seed": 2, "max_staleness": 3, "fragment_length": 4}
    assert given.sources == {
        "seed": str(file),
        "max_staleness": "environment variable BROODMIND_MAX_STALENESS",
        "fragment_length": "",
    }


def test_named_values_of_several_sources_are_taken_together(write, monkeypatch):
    file = write('[game_args]\nsize = 1\nmap = "a"\nwalls = [1, 2]\n')
    monkeypatch.setenv("BROODMIND_GAME_ARGS", '{"size": 2, "level": 2}')
    given = gather("learner", {"game_args": ("level=3", "name=a=b", "fast=true")}, str(file))
    together = {"size": 2, "map": "a", "walls": [1, 2], "level": 3, "name": "a=b", "fast": True}
    assert given.values == {"game_args": together}


@pytest.mark.parametrize("value", ["size", "=1", "size=null"])
def test_a_named_value_is_assigned_to_a_name(value):
    with pytest.raises(ConfigError, match=r"^game_args: .*, expected (NAME=VALUE|values by name: true, false, .*)$"):
        gather("learner", {"game_args": (value,)}, None)


def test_the_environment_may_name_the_file(write, monkeypatch):
    monkeypatch.setenv("BROODMIND_CONFIG", str(write("seed = 5")))
    assert gather("learner", {}, None).values == {"seed": 5}


def test_a_file_holds_every_kind_of_value(write):
    given = of_file(
        write(
            'run = "x"\n[network]\nhidden = [32, 16]\nshared = true\n[algorithm]\ngamma = 1\n'
            '[algorithm.schedule]\nkl_target = 0.5\n[checkpointing]\ncheckpoint_dir = "a/b"\n'
        )
    )
    assert given.values == {
        "run": "x",
        "hidden": (32, 16),
        "shared": True,
        "gamma": 1.0,
        "kl_target": 0.5,
        "checkpoint_dir": Path("a/b"),
    }


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[algorithm]\ngama = 0.9", "gama: no setting in the table [algorithm] of FILE, .*did you mean gamma in [alg"),
        (
            "[algorithm]\nmax_staleness = 1",
            "max_staleness: no setting in the table [algorithm] .*mean max_staleness in [int",
        ),
        ("[algorithm]\nclip = 1", "clip: no setting in the table [algorithm] of FILE"),
        ("rate = 1", "rate: no setting in the head of FILE, .*did you mean learning_rate in [algorithm]"),
        (
            "[xyzzy]\nmax_age = 1",
            "[xyzzy]: no table of settings in FILE, expected one of [connection], [algorithm], [algorithm.schedule], ",
        ),
        ("[algoritm]\ngamma = 0.9", "[algoritm]: no table of settings in FILE, expected [algorithm]"),
        ("[intakes]\nmax_age = 1", "[intakes]: no table of settings in FILE, expected [intake]"),
        (
            "[algorithm.scedule]\nkl_target = 1",
            "[algorithm.scedule]: no table of settings in FILE, expected [algorithm.sch",
        ),
        (
            "xyzzy = 1",
            "xyzzy: no setting in the head of FILE, expected one of run, game, game_args, game_spec, seed, algo, [con",
        ),
        ("intake = 1", "intake: no setting in the head of FILE"),
        (
            "[algorithm.schedule]\nxyzzy = 1",
            "xyzzy: no setting in the table [algorithm.schedule] of FILE, expected one of learning_r",
        ),
        ("[algorithm]\ngamma = 2", "gamma: 2 (FILE), expected a finite number of at least 0 and at most 1"),
        ('[algorithm]\ngamma = "x"', "gamma: 'x' (FILE), expected a finite number"),
        ("[algorithm]\ngamma = nan", "gamma: nan (FILE), expected a finite number"),
        ("[algorithm]\nn_epochs = 1.5", "n_epochs: 1.5 (FILE), expected a whole number"),
        ("[network]\nhidden = 64", "hidden: 64 (FILE), expected whole numbers"),
        ("[network]\nshared = 3", "shared: 3 (FILE), expected true or false"),
        ("[connection]\nredis_password = 5", "redis_password: *** (FILE), expected text"),
        ('[connection]\nredis = ["redis://:S3cret@h"]', "redis: *** (FILE), expected text"),
        ("a = [", "config: 'FILE', expected TOML"),
    ],
)
def test_a_mistake_in_a_file_is_named(write, text, message):
    file = write(text)
    with pytest.raises(ConfigError) as refused:
        of_file(file)
    for part in message.replace("FILE", str(file)).split(".*"):
        assert part in str(refused.value)
    assert refused.value.exit_code == 3


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(ConfigError, match=r"^config: '.*absent.toml', expected a file that can be read \(No such"):
        of_file(tmp_path / "absent.toml")


def test_a_mistake_in_the_environment_names_the_variable():
    with pytest.raises(ConfigError, match=r"^gamma: 2 \(environment variable BROODMIND_GAMMA\), expected"):
        of_environment("learner", {"BROODMIND_GAMMA": "2"})


def test_an_empty_variable_sets_nothing():
    assert of_environment("learner", {"BROODMIND_GAMMA": ""}).values == {}


def test_the_given_value_and_its_displayed_text_are_separate():
    given = of_values({"redis_password": "S3cret", "redis": "redis://:S3cret@h"}, "")
    assert "S3cret" not in repr(given)
    assert given.get("redis_password") == "S3cret"
    assert given.get("seed", 9) == 9


def test_given_values_override_defaults_and_are_overridden_by_additions():
    given = Given({"seed": 1}, {"seed": ""})
    assert given.defaulting(seed=2, envs=3).values == {"seed": 1, "envs": 3}
    assert given.having(seed=2, envs=3).values == {"seed": 2, "envs": 3}
    assert given.having(envs=3).only(["envs"]).values == {"envs": 3}
