"""A game's own errors: told with file and line of its code, and only where its code was running."""

from __future__ import annotations

import sys

import gymnasium
import numpy as np
import pytest

from broodmind.actors.games.checks.game_errors import game_code
from broodmind.actors.games.registry import make_game
from broodmind.common.errors import ConfigError, GameError, LeaseLost

GAME = """
import gymnasium
import numpy as np
from gymnasium import spaces

class Own(gymnasium.Env):
    observation_space, action_space = spaces.Box(-1, 1, (2,), np.float32), spaces.Discrete(3)

    def __init__(self, door=None):
        if door == "locked":
            raise KeyError(door)

    def reset(self, *, seed=None, options=None):
        return np.zeros(2, np.float32), {}

    def step(self, action):
        self.walk(action)
        return np.zeros(2, np.float32), 0.0, False, False, {}

    def walk(self, action):
        if action == 1:
            raise RuntimeError("no such\\n door")
        if action == 2:
            np.zeros(2).reshape(3)
"""


@pytest.fixture
def name(tmp_path, monkeypatch, run):
    module = run.replace("-", "_")
    (tmp_path / f"{module}.py").write_text(GAME)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.chdir(tmp_path)
    yield f"{module}:Own"
    sys.modules.pop(module, None)


def line_of(text):
    return next(at for at, line in enumerate(GAME.splitlines(), 1) if text in line)


@pytest.mark.parametrize(
    ("action", "told", "line"),
    [
        (1, "RuntimeError: no such door", "raise RuntimeError"),
        (2, "ValueError: cannot reshape array of size 2 into shape (3,)", "reshape(3)"),
    ],
)
def test_an_error_in_a_step_is_told_with_its_place(name, action, told, line):
    game = make_game(name, 1)
    game.reset(1)
    with pytest.raises(GameError) as raised:
        game.step(np.array([action]))
    place = f"{name.partition(':')[0]}.py:{line_of(line)}, in walk"
    assert str(raised.value) == f"game {name}: {told} ({place})"


def test_an_error_in_the_making_is_told_with_its_place(name):
    with pytest.raises(GameError, match=rf"^game {name}: KeyError: 'locked' \(\w+.py:{line_of('KeyError')}, in __init"):
        make_game(name, 1, {"door": "locked"})


def test_an_error_of_syntax_is_told_with_its_place(name, tmp_path):
    module = name.partition(":")[0]
    (tmp_path / f"{module}.py").write_text("x = 1\ndef make(:\n")
    with pytest.raises(GameError, match=rf"^game {name}: SyntaxError: .* \({module}.py:2\)$"):
        make_game(name, 1)


def test_the_error_that_caused_a_librarys_is_told_where_it_was_raised():
    def made():
        raise TypeError("door")

    gymnasium.register("Door-v0", entry_point=made)
    with pytest.raises(GameError, match=r"^game Door-v0: .*door.* \(.*test_game_errors.py:\d+, in made\)$"):
        make_game("Door-v0", 1)
    del gymnasium.registry["Door-v0"]


def test_errors_of_broodmind_and_of_libraries_alone_pass():
    for error, passing in ((ConfigError("x"), ConfigError), (LeaseLost("x"), LeaseLost)):
        with pytest.raises(passing), game_code("mine"):
            raise error
    game = make_game("CartPole-v1", 1)
    game.reset(1)
    with pytest.raises(AttributeError):  # our own mistake, and not the game's
        game.step(None)
