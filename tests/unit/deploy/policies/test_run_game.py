"""Which game a command plays with a policy."""

from __future__ import annotations

import json
from types import SimpleNamespace

import pytest

from broodmind.deploy.config.given import Given, of_values
from broodmind.deploy.policies.run_game import RunGame, run_game

POLICY = SimpleNamespace(game=SimpleNamespace(name="of the spec"))


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "run.json").write_text(json.dumps({"run": "x", "game": "mine:make", "game_args": {"size": 5}}))
    (tmp_path / "best").mkdir()
    return tmp_path


def test_the_runs_record_has_the_game_and_its_arguments(folder):
    for path in (folder, folder / "best", folder / "best" / "checkpoint-0001-000000001.msgpack"):
        assert run_game(Given(), path, POLICY) == RunGame("mine:make", {"size": 5})


def test_given_settings_take_precedence_and_another_game_does_not_get_the_runs_arguments(folder):
    more = of_values({"game_args": {"level": 2}}, "")
    assert run_game(more, folder, POLICY) == RunGame("mine:make", {"size": 5, "level": 2})
    assert run_game(more.having(game="other"), folder, POLICY) == RunGame("other", {"level": 2})


def test_without_a_record_it_is_the_game_of_the_policys_spec(tmp_path):
    assert run_game(Given(), tmp_path / "x.npz", POLICY) == RunGame("of the spec", {})
