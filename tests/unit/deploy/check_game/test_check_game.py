"""`broodmind check-game`: what it says of sound games and of faulty ones, and its exit code."""

from __future__ import annotations

import re
import sys

import pytest
from click.testing import CliRunner

from broodmind.actors.games.connect_four import ConnectFour
from broodmind.common.errors import ConfigError
from broodmind.deploy.check_game.check_game import in_words
from broodmind.deploy.check_game.child import findings_of
from broodmind.deploy.cli import cli

GAMES = """
import gymnasium
import numpy as np
from gymnasium import spaces

class Sound(gymnasium.Env):
    observation_space = spaces.Dict({"place": spaces.Discrete(3), "speed": spaces.Box(-1, 1, (2,), np.float32)})
    action_space = spaces.Tuple([spaces.Discrete(2), spaces.MultiBinary(2)])

    def __init__(self, length=5):
        self.length = length

    def seen(self):
        speed = self.np_random.uniform(-1, 1, 2).astype(np.float32)
        return {"place": self.np_random.integers(3), "speed": speed}

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed, options=options)
        self.at = 0
        return self.seen(), {}

    def step(self, action):
        assert self.action_space.contains(action)
        self.at += 1
        print("a step")
        return self.seen(), float(action[0]), bool(self.np_random.random() < 0.2), self.at == self.length, {}

class Faulty(Sound):
    def step(self, action):
        observation, _, *rest = super().step(action)
        return observation, None, *rest
"""


@pytest.fixture
def module(tmp_path, monkeypatch, run):
    name = run.replace("-", "_")
    (tmp_path / f"{name}.py").write_text(GAMES)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    yield name
    sys.modules.pop(name, None)


def checked(*arguments):
    result = CliRunner().invoke(cli, ["check-game", *arguments, "--seconds", "0.1"])
    lines = [re.split(r"\s+", line, maxsplit=2) for line in result.stdout.splitlines()]
    return result.exit_code, [tuple(line) for line in lines]


def test_a_sound_game_is_described_and_has_no_error(module):
    code, lines = checked(f"{module}:Sound", "--game-arg", "length=7")
    assert code == 0
    assert {level for level, *_ in lines} == {"OK"}, lines
    told = "\n".join(" ".join(line) for line in lines)
    assert "flattened from place (one-hot, 3), speed (numbers, 2)" in told
    assert "actions: 2 x 2 x 2 options, without a mask" in told
    assert "several processes at a time" in told
    assert "check_env finds nothing" in told
    assert "terminated and" in told


def test_a_faulty_game_is_an_error_by_the_name_of_the_field(module):
    code, lines = checked(f"{module}:Faulty")
    assert code == ConfigError.exit_code
    assert ("error", "steps", "reward: NoneType, expected a number") in lines
    assert any(line[:2] == ("error", "numbers") and line[2].startswith("rewards: ") for line in lines)


def test_a_game_that_cannot_be_made_is_one_line(module):
    code, lines = checked(f"{module}:Sond")
    expected = f"game: '{module}:Sond', expected a factory: module {module} has no Sond; it has Sound, Faulty"
    assert (code, lines) == (ConfigError.exit_code, [("error", "game", expected)])


def test_a_game_for_two_names_its_players():
    code, lines = checked("ConnectFour")
    assert code == 0
    assert any(line[1] == "players" and "random, lookahead" in line[2] for line in lines)


def test_a_game_that_one_process_alone_can_have_is_a_warning():
    (both,) = findings_of("Address in use", "")
    (none,) = findings_of("No module", "No module")
    assert (both.level, none.level) == ("warning", "error")
    assert "use --actors 1 --envs 1" in both.text


def test_what_broodmind_makes_of_a_game():
    assert list(in_words(ConnectFour.spec)) == ["observation [6, 6, 7] of numbers", "actions: 7 options, with a mask"]
