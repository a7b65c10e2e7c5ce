"""The name by which other processes find a function that makes a game."""

from __future__ import annotations

import importlib
import subprocess
import sys
from functools import partial
from types import ModuleType

import pytest

from broodmind.actors.games.checks.factory import own_factory
from broodmind.actors.games.tinyzerg import TinyZerg
from broodmind.common.errors import ConfigError
from broodmind.deploy.training.callable_games import game_name

MODULE = """
def make():
    return "made"

class Game:
    pass

def outer():
    def inner():
        pass
    return inner

other = make
"""


@pytest.fixture
def module(tmp_path, monkeypatch):
    """A module of its own in a folder that is not the current one."""
    folder = tmp_path / "code"
    folder.mkdir()
    (folder / "game_of_mine.py").write_text(MODULE)
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.chdir(tmp_path)
    importlib.invalidate_caches()
    yield importlib.import_module("game_of_mine")
    del sys.modules["game_of_mine"]


def test_a_name_is_taken_as_it_is():
    assert game_name("CartPole-v1") == "CartPole-v1"


def test_a_function_of_a_module_is_found_by_its_path_where_its_name_is_not_enough(module, tmp_path, monkeypatch):
    name = game_name(module.make)
    assert name == "code/game_of_mine.py:make"
    assert own_factory(name)() == "made"
    assert game_name(module.Game) == "code/game_of_mine.py:Game"
    monkeypatch.chdir(tmp_path / "code")
    assert game_name(module.make) == "game_of_mine:make"
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert game_name(module.make) == f"{tmp_path}/code/game_of_mine.py:make"


def test_a_function_of_an_installed_package_is_found_by_its_name():
    assert game_name(TinyZerg) == "broodmind.actors.games.tinyzerg:TinyZerg"
    gymnasium = importlib.import_module("gymnasium.envs.classic_control.cartpole")
    assert game_name(gymnasium.CartPoleEnv) == "gymnasium.envs.classic_control.cartpole:CartPoleEnv"


@pytest.mark.parametrize("kind", ["lambda", "inner", "partial", "method"])
def test_what_no_other_process_can_find_is_refused(module, kind):
    games = {
        "lambda": lambda: None,
        "inner": module.outer(),
        "partial": partial(module.make),
        "method": module.Game().__init__,
    }
    with pytest.raises(ConfigError, match=r"^game: .*, expected a function or class at the top level of a module"):
        game_name(games[kind])


def test_what_is_no_function_is_refused():
    with pytest.raises(ConfigError, match="game: 5, expected a game's name, or a function"):
        game_name(5)


def test_a_function_of_a_notebook_is_refused_with_what_to_do(monkeypatch):
    notebook = ModuleType("__main__")
    exec("def make(): pass", vars(notebook))
    monkeypatch.setitem(sys.modules, "__main__", notebook)
    with pytest.raises(
        ConfigError, match=r"make is defined in a notebook .*\(%%writefile my_game.py\), and pass my_game.make"
    ):
        game_name(notebook.make)


SCRIPT = """
from broodmind.deploy.training.callable_games import game_name

def make():
    pass

if __name__ == "__main__":
    print(game_name(make))
"""


@pytest.mark.parametrize("how", ["script", "module"])
def test_a_function_of_the_script_is_found_by_the_scripts_path(tmp_path, how):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "train.py").write_text(SCRIPT)
    command = ["mine/train.py"] if how == "script" else ["-m", "mine.train"]
    printed = subprocess.check_output([sys.executable, *command], cwd=tmp_path, text=True)
    assert printed == ("mine/train.py:make\n" if how == "script" else "mine.train:make\n")
