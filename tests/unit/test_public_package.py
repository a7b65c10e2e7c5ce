"""`import broodmind`: the names that users may rely on, and the old ones that still work."""

from __future__ import annotations

import importlib
import subprocess
import sys

import pytest

import broodmind
from broodmind.common import deprecated

# What is listed here may not be taken away without a deprecation.
PUBLIC = {
    *("Agent", "Box", "BroodmindError", "ConfigError", "Discrete", "Episode", "GameSpec", "Limits", "MultiDiscrete"),
    *("Policy", "Run", "Status", "Step", "TwoPlayerGame", "VectorGame", "__version__", "connect", "load", "train"),
}


def test_the_public_names_are_these():
    assert set(broodmind.__all__) == PUBLIC
    assert dir(broodmind) == sorted(PUBLIC)
    for name in PUBLIC:
        assert getattr(broodmind, name) is not None
    assert broodmind.__version__.count(".") >= 2


def test_an_unknown_name_is_refused_with_a_list_of_the_public_names():
    with pytest.raises(AttributeError, match=r"nosuch.*expected one of .*connect"):
        _ = broodmind.nosuch


def test_importing_it_imports_neither_numpy_nor_the_redis_client():
    code = "import sys, broodmind; broodmind.__version__; print({'numpy', 'redis', 'msgpack'} & set(sys.modules))"
    assert subprocess.check_output([sys.executable, "-c", code], text=True) == "set()\n"


@pytest.mark.parametrize("name", ["Agent", "Episode", "Limits", "Status", "connect"])
def test_the_names_that_actors_had_still_work_and_warn(name):
    with pytest.warns(DeprecationWarning, match=rf"broodmind\.actors\.{name} .* use broodmind\.{name}"):
        old = getattr(importlib.import_module("broodmind.actors"), name)
    assert old is getattr(broodmind, name)


def test_another_name_is_no_attribute_of_the_package_of_before():
    with pytest.raises(AttributeError, match=r"module 'broodmind.actors' has no attribute 'nosuch'"):
        _ = importlib.import_module("broodmind.actors").nosuch


def test_the_old_paths_are_looked_up_once_however_often_they_are_installed():
    before = list(sys.meta_path)
    deprecated.install()
    assert sys.meta_path == before


@pytest.mark.parametrize(
    ("old", "new", "attribute"),
    [
        ("broodmind.actors.game", "broodmind.actors.games.vector_game", "Step"),
        ("broodmind.actors.two_seats", "broodmind.actors.games.two_player_game", "TwoPlayerGame"),
        ("broodmind.actors.tinyzerg_gymnasium", "broodmind.actors.games.tinyzerg_gymnasium", "TinyZergEnv"),
    ],
)
def test_a_module_is_found_at_its_old_path_and_warns(old, new, attribute):
    sys.modules.pop(old, None)
    with pytest.warns(DeprecationWarning, match=f"{old} .* use {new}"):
        module = importlib.import_module(old)
    assert getattr(module, attribute) is getattr(importlib.import_module(new), attribute)


@pytest.mark.parametrize(
    ("module", "old", "new"),
    [
        ("actors.games.two_player_game", "TwoSeatGame", "TwoPlayerGame"),
        ("actors.starcraft2.features", "Seen", "GameState"),
    ],
)
def test_a_documented_attribute_still_has_its_old_name_and_warns(module, old, new):
    found = importlib.import_module(f"broodmind.{module}")
    with pytest.warns(DeprecationWarning, match=f"{old} .* use {new}"):
        assert getattr(found, old) is getattr(found, new)
    with pytest.raises(AttributeError, match="nosuch"):
        _ = found.nosuch


def test_gymnasium_finds_the_built_in_game_by_its_old_path():
    code = (
        "import gymnasium; print(gymnasium.make('broodmind.actors.tinyzerg_gymnasium:broodmind/TinyZerg-v0').spec.id)"
    )
    assert subprocess.check_output([sys.executable, "-c", code], text=True) == "broodmind/TinyZerg-v0\n"
