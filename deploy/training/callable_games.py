"""The name of a game that was given as a function: the name by which other processes find it."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...common.arguments import invalid
from ...common.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType


def game_name(game: str | Callable[..., Any]) -> str:
    """The game's name for `make_game`: module:factory, or script.py:factory.

    Child processes import the module again, or the script by its path, as those of `multiprocessing` do. So the part of
    a script that trains must be guarded by `if __name__ == "__main__":`.

    Raises:
        ConfigError: if no other process could find the function.
    """
    if isinstance(game, str) and game:
        return game
    if not callable(game):
        raise invalid("game", game, "a game's name, or a function that makes it")
    name = getattr(game, "__qualname__", "")
    module = sys.modules.get(getattr(game, "__module__", None) or "")
    if not name.isidentifier() or module is None or getattr(module, name, None) is not game:
        raise ConfigError(
            f"game: {name or game!r}, expected a function or class at the top level of a module, which the actors "
            "import; arguments for it go to config={'game_args': {...}}"
        )
    if module.__name__ == "__main__":
        return f"{_main_place(module, name)}:{name}"
    return f"{_place(module)}:{name}"


def _main_place(main: ModuleType, name: str) -> str:
    spec = getattr(main, "__spec__", None)
    if spec is not None:  # python -m package.module
        found: str = spec.name
        return found
    file = getattr(main, "__file__", None)
    if file is None:
        raise ConfigError(
            f"game: {name} is defined in a notebook or at a prompt, expected one in a module, which the actors import: "
            f"put it in a file (%%writefile my_game.py), and pass my_game.{name}"
        )
    return _path(Path(file))


def _place(module: ModuleType) -> str:
    """The module's name, or its path where it stands alone in a folder that child processes do not search."""
    file = getattr(module, "__file__", None)
    if file is None or "." in module.__name__ or getattr(module, "__path__", None) is not None:
        return module.__name__
    folder = Path(file).resolve().parent
    installed = folder.is_relative_to(Path(sys.prefix).resolve()) or folder.is_relative_to(
        Path(sys.base_prefix).resolve()
    )
    return module.__name__ if installed or folder == Path.cwd() else _path(Path(file))


def _path(file: Path) -> str:
    """A script's path from the current folder if it is in there, so that a moved project is still the same game."""
    file, here = file.resolve(), Path.cwd()
    return str(file.relative_to(here)) if file.is_relative_to(here) else str(file)
