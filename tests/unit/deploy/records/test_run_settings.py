"""Which runs there are in a folder, what their settings are, and what tells them apart."""

from __future__ import annotations

import pytest

from broodmind.common.errors import ConfigError
from broodmind.deploy.config.effective import effective
from broodmind.deploy.config.given import of_values
from broodmind.deploy.config.rendering import to_toml
from broodmind.deploy.records.run_folder import RunFolder
from broodmind.deploy.records.run_settings import differing, in_words, run_folders, settings_of, telling


def recorded(path, **values):
    """The folder of a run with these settings."""
    path.mkdir(parents=True)
    folder = RunFolder(path)
    folder.checkpoints.mkdir()
    folder.config.write_text(to_toml(effective(of_values(values, ""))))
    return folder


def test_a_path_is_a_run_or_a_folder_of_runs(tmp_path):
    first, second = (recorded(tmp_path / name) for name in ("a", "b"))
    (tmp_path / "c").mkdir()
    assert run_folders([tmp_path]) == [first, second]
    assert run_folders([tmp_path / "b", tmp_path]) == [second, first]
    for empty in (tmp_path / "c", tmp_path / "missing"):
        with pytest.raises(ConfigError, match=f"run: '{empty}', expected a run's folder, or a folder with runs in it"):
            run_folders([empty])


def test_settings_are_those_that_say_how_a_run_goes(tmp_path):
    settings = settings_of(recorded(tmp_path / "a", run="x", seed=3, learning_rate=0.01, redis="redis://h", actors=4))
    assert settings["learning_rate"] == 0.01
    assert (settings["seed"], settings["actors"], settings["game"]) == (3, 4, "TinyZerg")
    assert not {"run", "redis", "checkpoint_dir", "lease_ttl", "out", "max_steps", "eval_episodes"} & settings.keys()
    assert settings_of(RunFolder(tmp_path / "none")) == {}


def test_runs_that_differ_in_the_seed_alone_do_not_differ(tmp_path):
    runs = [settings_of(recorded(tmp_path / str(seed), seed=seed)) for seed in (1, 2)]
    assert differing(runs) == []
    runs.append(settings_of(recorded(tmp_path / "c", seed=1, learning_rate=0.01)))
    assert differing(runs) == ["learning_rate"]
    assert in_words(runs[2], ["learning_rate"]) == "learning_rate=0.01"
    assert differing([*runs, {}]) == ["learning_rate"]
    assert in_words({}, ["learning_rate"]) == ""


def test_what_was_given_tells_runs_apart_and_not_what_follows_from_it(tmp_path):
    runs = [settings_of(recorded(tmp_path / algo, algo=algo)) for algo in ("ppo", "vtrace")]
    assert len(differing(runs)) > 3
    assert telling(runs, {"algo"}) == ["algo"]
    assert telling([{"a": 1, "b": 1}, {"a": 1, "b": 2}], {"a"}) == ["b"]
    assert telling([{"a": 1, "b": 1}, {"a": 2, "b": 1}, {"a": 2, "b": 2}], {"a"}) == ["a", "b"]
