"""A user's factory by its name, and what is said when it is not there."""

from __future__ import annotations

import sys

import pytest

from broodmind.actors.games.checks.factory import check_module, own_factory
from broodmind.common.errors import ConfigError

CODE = """
from dataclasses import dataclass

LEVELS = 3

class Labyrinth:
    pass

def make_env():
    pass

def _helper():
    pass
"""


@pytest.fixture
def module(tmp_path, monkeypatch, run):
    name = run.replace("-", "_")
    (tmp_path / f"{name}.py").write_text(CODE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    yield name
    sys.modules.pop(name, None)


def refused(name, message):
    with pytest.raises(ConfigError) as raised:
        own_factory(name)
    assert str(raised.value) == f"game: {name!r}, {message}"


def test_a_factory_is_found_in_the_current_folder(module):
    assert own_factory(f"{module}:make_env").__name__ == "make_env"


def test_a_misspelt_factory_is_refused_with_what_the_module_has_instead(module):
    refused(f"{module}:maek_env", f"expected a factory: module {module} has no maek_env; it has make_env, Labyrinth")


def test_what_cannot_be_called_is_refused(module):
    refused(f"{module}:LEVELS", "expected LEVELS to be callable, or a GameSpec, got int")


def test_a_module_without_anything_says_so(module, tmp_path):
    (tmp_path / f"{module}.py").write_text("")
    refused(f"{module}:x", f"expected a factory: module {module} has no x; it has no function or class of its own")


def test_a_missing_module_is_found_out_without_importing_anything(module):
    check_module(f"{module}:anything")
    assert module not in sys.modules
    check_module("CartPole-v1")
    for name in (f"{module}_:make", ":make"):
        with pytest.raises(ConfigError, match=rf"^game: '{name}', expected .* to be an importable module$"):
            check_module(name)


def test_a_registered_id_after_the_module_is_no_factory():
    assert own_factory("gymnasium:CartPole-v1") is None


def test_a_script_is_found_by_its_path_and_what_it_guards_is_not_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "games").mkdir()
    (tmp_path / "games" / "beside.py").write_text("VALUE = 5")
    script = "import beside\ndef make():\n    return beside.VALUE\nif __name__ == '__main__':\n    raise SystemExit\n"
    (tmp_path / "games" / "script.py").write_text(script)
    assert own_factory("games/script.py:make")() == 5
    assert own_factory(f"{tmp_path}/games/script.py:make") is own_factory("games/script.py:make")
    with pytest.raises(ConfigError, match=r"module broodmind_script_script has no mak; it has make"):
        own_factory("games/script.py:mak")
    with pytest.raises(ConfigError, match=r"game: 'no.py:make', expected no.py to be a script"):
        own_factory("no.py:make")
