"""config.toml and run.json: what they say of a run and of each of its starts, and what they must not say."""

from __future__ import annotations

import json
import sys

import numpy as np
import pytest

from broodmind.common.errors import ConfigError
from broodmind.deploy.config.effective import effective, to_plain
from broodmind.deploy.config.given import of_file, of_values
from broodmind.deploy.recording.run_start import (
    check_folder,
    command_line,
    missing,
    removed_if_unused,
    without_secret,
    write_start,
)
from broodmind.deploy.records.run_folder import RunFolder, read_object


@pytest.fixture
def folder(tmp_path):
    return RunFolder(tmp_path / "out")


def given(**values):
    return of_values(values, "")


def start(folder, settings, resumed_steps=0):
    config = effective(settings)
    check_folder(folder, config)
    write_start(folder, to_plain(config), {"gamma": 0.5}, ["broodmind", "up"], 1.7e9, resumed_steps)
    return read_object(folder.about)


def test_a_run_s_first_start_says_what_the_run_is_and_how_it_was_made(folder):
    about = start(folder, given(run="zerg", game="CartPole-v1", game_args={"a": 1}, seed=7))
    identity = {"run": "zerg", "game": "CartPole-v1", "game_args": {"a": 1}, "algo": "ppo", "seed": 7}
    assert identity.items() <= about.items()
    (first,) = about["starts"]
    assert (first["at"], first["resumed_steps"]) == ("2023-11-14T22:13:20Z", 0)
    assert (first["command"], first["settings"]) == (["broodmind", "up"], {"gamma": 0.5})
    assert first["versions"].items() >= {"numpy": np.__version__, "python": sys.version.split()[0]}.items()
    assert first["host"]


def test_each_further_start_is_added(folder):
    start(folder, given())
    about = start(folder, given(gamma=0.9), 400)
    assert [each["resumed_steps"] for each in about["starts"]] == [0, 400]
    assert of_file(folder.config).get("gamma") == 0.9


@pytest.mark.parametrize(
    ("name", "value", "shown"),
    [("run", "b", '"b"'), ("game", "CartPole-v1", '"CartPole-v1"'), ("seed", 2, "2"), ("algo", "vtrace", '"vtrace"')],
)
def test_a_folder_that_has_another_run_is_left_to_it(folder, name, value, shown):
    before = start(folder, given(run="a"))
    with pytest.raises(ConfigError) as error:
        check_folder(folder, effective(given(**{"run": "a", name: value})))
    assert f"has a run with {name} {json.dumps(before[name])}, expected {name} {shown}" in str(error.value)


def test_a_folder_that_cannot_be_made_is_an_error_that_names_it(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match=r"out: '.*/file/out', expected a folder"):
        check_folder(RunFolder(tmp_path / "file" / "out"), effective(given()))


def test_the_configuration_starts_the_same_run_anew_and_elsewhere(folder):
    """Neither its folder, nor the server that ended with it, nor what was done once at its start, is in it."""
    places = {"out": str(folder.path), "checkpoint_dir": str(folder.checkpoints), "reset_moments": True}
    start(folder, given(gamma=0.9, redis="unix:///tmp/broodmind-x/valkey.sock", **places))
    read = of_file(folder.config)
    assert not {"out", "checkpoint_dir", "redis"} & read.values.keys()
    assert not read.get("reset_moments")
    assert effective(read) == effective(given(gamma=0.9))


def test_a_server_and_a_place_for_checkpoints_that_were_chosen_are_kept(folder):
    start(folder, given(redis="redis://10.0.0.5", checkpoint_dir="/data"))
    read = of_file(folder.config)
    assert read.get("redis") == "redis://10.0.0.5"
    assert str(read.get("checkpoint_dir")) == "/data"


def test_no_password_is_written(folder):
    start(folder, given(redis="redis://me:pa55@10.0.0.5", redis_password="pa55"))
    assert "pa55" not in folder.config.read_text() + folder.about.read_text()


def test_a_command_line_is_written_without_its_passwords(monkeypatch):
    url = "redis://me:pa55@10.0.0.5"
    monkeypatch.setattr(sys, "argv", ["/x/broodmind", "learner", "--redis", url, f"--redis={url}", "--gamma=0.9"])
    shown = ["redis://me:***@10.0.0.5", "--redis=redis://me:***@10.0.0.5", "--gamma=0.9"]
    assert command_line() == ["broodmind", "learner", "--redis", *shown]
    assert without_secret("my_game:make") == "my_game:make"


def refused(path, made, *, leaving=()):
    with removed_if_unused(path, made):
        path.mkdir(parents=True, exist_ok=True)
        for name in leaving:
            (path / name).parent.mkdir(parents=True, exist_ok=True)
            (path / name).touch()
        (path / "checkpoints").mkdir()


def test_a_start_that_is_refused_leaves_no_folder_that_it_has_made(tmp_path):
    path = tmp_path / "runs" / "x"
    assert missing(path) == [path, path.parent]
    refused(path, missing(path))
    assert not list(tmp_path.iterdir())


def test_a_folder_with_a_file_stays_however_deep_it_is(tmp_path):
    path = tmp_path / "runs" / "x"
    refused(path, missing(path), leaving=["logs/learner.log"])
    assert (path / "logs" / "learner.log").exists()
    assert (path / "checkpoints").exists()


def test_a_folder_that_was_there_before_stays(tmp_path):
    path = tmp_path / "runs" / "x"
    path.mkdir(parents=True)
    refused(path, missing(path))
    assert path.exists()


def test_folders_that_another_start_uses_meanwhile_stay(tmp_path):
    path = tmp_path / "runs" / "x"
    made = missing(path)
    (tmp_path / "runs" / "another").mkdir(parents=True)
    refused(path, made)
    assert [each.name for each in (tmp_path / "runs").iterdir()] == ["another"]


def test_an_error_passes(tmp_path):
    path = tmp_path / "x"
    with pytest.raises(ConfigError, match="refused"), removed_if_unused(path, missing(path)):
        raise ConfigError("refused")
