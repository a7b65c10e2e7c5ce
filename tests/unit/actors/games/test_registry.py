"""Games by their names: where they come from, and what is said when one cannot be made."""

from __future__ import annotations

import sys

import gymnasium
import pytest

from broodmind.actors import games
from broodmind.actors.games.registry import make_game
from broodmind.common.errors import ConfigError

OWN = """
from broodmind.actors.games.tinyzerg import TinyZerg

def make(num_envs):
    return TinyZerg(num_envs)
"""


@pytest.fixture
def module(tmp_path, monkeypatch, run):
    """Writes a module of the user's, and returns its name."""
    name = run.replace("-", "_")
    monkeypatch.syspath_prepend(tmp_path)

    def write(code):
        (tmp_path / f"{name}.py").write_text(code)
        return name

    yield write
    sys.modules.pop(name, None)


@pytest.fixture
def without_gymnasium(monkeypatch):
    monkeypatch.setitem(sys.modules, "gymnasium", None)
    monkeypatch.delitem(sys.modules, f"{games.__name__}.gymnasium_adapter", raising=False)
    monkeypatch.delattr(games, "gymnasium_adapter", raising=False)


def test_without_gymnasium_the_games_that_need_it_are_refused_and_others_are_made(without_gymnasium, module):
    with pytest.raises(ConfigError, match=r"^game: 'CartPole-v1', expected one of TinyZerg, .* broodmind\[games\]"):
        make_game("CartPole-v1", 1)
    for name in ("TinyZerg", f"{module(OWN)}:make"):
        game = make_game(name, 3)
        assert (game.num_envs, game.spec.name) == (3, "TinyZerg")
        game.close()


def test_a_missing_module_is_refused_by_its_name():
    with pytest.raises(ConfigError, match=r"^game: 'nowhere.at_all:make', expected nowhere.at_all to be an importable"):
        make_game("nowhere.at_all:make", 1)


def test_an_import_that_fails_inside_a_users_module_is_named(module):
    name = module("import what_it_needs")
    with pytest.raises(ConfigError, match=rf"^game: '{name}:make': {name} imports what_it_needs, which is not"):
        make_game(f"{name}:make", 1)


def test_the_built_in_gymnasium_game_is_made_by_its_id_without_importing_its_module(monkeypatch):
    monkeypatch.delitem(sys.modules, f"{games.__name__}.tinyzerg_gymnasium", raising=False)
    monkeypatch.delattr(games, "tinyzerg_gymnasium", raising=False)
    monkeypatch.delitem(gymnasium.registry, "broodmind/TinyZerg-v0", raising=False)
    game = make_game("broodmind/TinyZerg-v0", 2)
    assert game.num_envs == 2
    assert game.reset(1).observations.shape == (2, *game.spec.observation_shape)
    game.close()
