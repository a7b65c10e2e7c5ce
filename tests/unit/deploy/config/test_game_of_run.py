"""Which game a run is for: a spec in the user's module, in the configuration, or one that is made."""

from __future__ import annotations

import pytest
from support.documents import documented

from broodmind.common.actions import Discrete
from broodmind.common.errors import ConfigError
from broodmind.common.spec import GameSpec
from broodmind.deploy.config.game_of_run import check_game_spec, is_self_play, known_game
from broodmind.deploy.config.given import Given, of_file

SPEC = GameSpec("corridor", (2,), Discrete(3), wins=True)


def test_a_spec_in_a_module_of_the_current_folder_is_the_game(tmp_path, monkeypatch):
    (tmp_path / "a_bot_of_mine.py").write_text(
        "from broodmind import Discrete, GameSpec\n\nSPEC = GameSpec('corridor', (2,), Discrete(3), wins=True)\n"
        "NUMBER = 3\n"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    assert known_game(Given().having(game="a_bot_of_mine:SPEC")) == SPEC
    with pytest.raises(ConfigError, match=r"^game_args: .*, expected none: a_bot_of_mine:SPEC owns its loop"):
        known_game(Given().having(game="a_bot_of_mine:SPEC", game_args={"a": 1}))
    with pytest.raises(ConfigError, match="expected NUMBER to be callable, or a GameSpec, got int"):
        known_game(Given().having(game="a_bot_of_mine:NUMBER"))


def test_a_table_in_a_file_is_the_game(tmp_path):
    file = tmp_path / "run.toml"
    file.write_text(documented("docs/client.md", "[game_spec]"))
    assert known_game(of_file(file)) == SPEC
    file.write_text('[game_spec]\nobservation_shape = [2]\nactions = {kind = "multi_discrete", sizes = [3, 2]}\n')
    assert known_game(of_file(file)).actions.sizes == (3, 2)


def test_an_offered_game_is_not_known_yet():
    assert known_game(Given().having(game="offered")) is None


def test_self_play_is_where_the_opponents_are_past_versions():
    games = ("ConnectFour", "ConnectFour@lookahead", "TinyZerg", "offered", "starcraft2")
    assert [is_self_play(Given().having(game=name)) for name in games] == [True, False, False, False, False]


def test_two_games_at_a_time_are_refused():
    table = {"observation_shape": [2], "actions": 3}
    check_game_spec(Given().having(game_spec=table).defaulting(game="offered"))
    with pytest.raises(ConfigError, match="game: 'CartPole-v1' beside a game_spec, expected one of them"):
        check_game_spec(Given().having(game="CartPole-v1", game_spec=table))
