"""The options of a match, before any game is started."""

from __future__ import annotations

import pytest

from broodmind.actors.starcraft2.match import parse_opponent
from broodmind.common.errors import ConfigError


def test_an_opponent_is_a_race_and_a_difficulty_in_any_case():
    computer = parse_opponent("Terran:VeryHard")
    assert (computer.race.name, computer.difficulty.name) == ("Terran", "VeryHard")


@pytest.mark.parametrize("text", ["", "terran", "terran:", "orc:easy", "terran:trivial", "norace:easy"])
def test_another_opponent_is_refused_with_those_there_are(text):
    with pytest.raises(ConfigError, match=r"opponent: .*, expected terran\|zerg\|protoss\|random:veryeasy\|easy"):
        parse_opponent(text)
