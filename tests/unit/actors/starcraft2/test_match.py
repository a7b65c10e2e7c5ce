"""The options of a match, before any game is started."""

from __future__ import annotations

import sys

import pytest

from broodmind.actors.starcraft2.match import Match, parse_opponent, play_match
from broodmind.actors.supervision.progress_pipe import ProgressPipe
from broodmind.common.errors import ConfigError
from broodmind.common.process.shutdown import Stop


def test_an_opponent_is_a_race_and_a_difficulty_in_any_case():
    computer = parse_opponent("Terran:VeryHard")
    assert (computer.race.name, computer.difficulty.name) == ("Terran", "VeryHard")


@pytest.mark.parametrize("text", ["", "terran", "terran:", "orc:easy", "terran:trivial", "norace:easy"])
def test_an_unknown_opponent_is_refused_with_a_list_of_the_known_ones(text):
    with pytest.raises(ConfigError, match=r"opponent: .*, expected terran\|zerg\|protoss\|random:veryeasy\|easy"):
        parse_opponent(text)


def test_without_burnysc2_no_game_is_begun_and_what_to_install_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "sc2", None)
    with pytest.raises(ConfigError, match=r"^game: starcraft2, expected it installed: .*broodmind\[starcraft2\]"):
        play_match(Match("Flat", "zerg:easy", 60), None, Stop(), ProgressPipe(None))
