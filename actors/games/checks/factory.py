"""A user's factory by the name module:attribute, and the errors for one that is not there."""

from __future__ import annotations

import difflib
import importlib
import importlib.machinery
import importlib.util
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ....common import deprecated
from ....common.errors import ConfigError
from ....common.spec import GameSpec

if TYPE_CHECKING:
    from ..two_player_game import TwoPlayerGame
    from ..vector_game import VectorGame

BUILT_IN = ("TinyZerg", "ConnectFour", "starcraft2")
_SCRIPT = ".py"
_importing: list[str] = []  # scripts
_NAMES_MAX = 8  # of a module's, in a message


def own_factory(name: str) -> Any:  # noqa: ANN401 - whatever a user's module holds
    """What module:attribute names: a factory, or the `GameSpec` of a game that owns its loop.

    None if the name is a Gymnasium id of the form module:Env-v0.

    A module may be a script, by its path: games/script.py:attribute.

    Raises:
        ConfigError: naming the module, and what it has instead.
    """
    module_name, _, attribute = name.rpartition(":")
    _search_the_current_folder()
    try:
        module = _script(name, module_name) if module_name.endswith(_SCRIPT) else importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name is not None and (error.name == module_name or module_name.startswith(f"{error.name}.")):
            raise ConfigError(f"game: {name!r}, expected {module_name} to be an importable module") from error
        raise ConfigError(f"game: {name!r}: {module_name} imports {error.name}, which is not installed") from error
    factory = getattr(module, attribute, None)
    if factory is None and not _is_registered(attribute):
        raise ConfigError(f"game: {name!r}, expected a factory: module {_has_instead(module, attribute)}")
    if not (factory is None or callable(factory) or isinstance(factory, GameSpec)):
        raise ConfigError(
            f"game: {name!r}, expected {attribute} to be callable, or a GameSpec, got {type(factory).__name__}"
        )
    return factory


def check_module(name: str) -> None:
    """Raise ConfigError unless the module of a name module:attribute is there. It is not imported, so this is quick."""
    module = name.partition(":")[0]
    package = module.partition(".")[0]
    if ":" not in name or module.endswith(".py") or package in sys.modules:
        return
    # Without the current folder on the path for good: a module there must not be imported instead of one of ours.
    here = [os.getcwd()]  # noqa: PTH109 - a search path holds text
    found = package and (importlib.util.find_spec(package) or importlib.machinery.PathFinder.find_spec(package, here))
    if not found:
        raise ConfigError(f"game: {name!r}, expected {package} to be an importable module")


def _script(name: str, path: str) -> Any:  # noqa: ANN401 - a module
    """Import a script as `multiprocessing` does: it is not `__main__`, and what it guards by that is not run."""
    file = Path(path).resolve()
    known = f"broodmind_script_{file.stem}"
    if (loaded := sys.modules.get(known)) is not None and getattr(loaded, "__file__", None) == str(file):
        return loaded
    if not file.is_file():
        raise ConfigError(f"game: {name!r}, expected {path} to be a script")
    if str(file.parent) not in sys.path:
        sys.path.insert(0, str(file.parent))  # where a script finds the modules beside it
    spec = importlib.util.spec_from_file_location(known, file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[known] = module
    _importing.append(known)
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[known]
        raise
    finally:
        _importing.pop()
    return module


def is_importing_script() -> bool:
    """Whether this is called by a script that is being imported for its factory."""
    return bool(_importing)


def of_copies(name: str, made: object) -> VectorGame | TwoPlayerGame:
    """What a factory of all copies has made, as a game. Raises ConfigError if it is none.

    An object that cannot be stepped is taken too: until 0.2 a game that owns its loop was described to the learner so.
    """
    game: VectorGame | TwoPlayerGame = deprecated.current_game(made)
    if not all(hasattr(game, each) for each in ("spec", "num_envs", "close")):
        raise ConfigError(
            f"game: {name!r}, expected a factory that takes num_envs to return a gymnasium.vector.VectorEnv, a "
            f"VectorGame or a TwoPlayerGame; got {described(made)}"
        )
    return game


def described(made: object) -> str:
    """What a factory returned, in words."""
    return "None" if made is None else f"an object of {type(made).__module__}.{type(made).__qualname__}"


def _is_registered(environment: str) -> bool:
    """Whether Gymnasium knows the id. It is asked only if the module, or something before, has imported it."""
    gymnasium = sys.modules.get("gymnasium")
    return gymnasium is not None and environment in gymnasium.registry


def _has_instead(module: Any, attribute: str) -> str:  # noqa: ANN401 - a module
    """What a module has that could be a factory, or a game's spec: the nearest names first."""
    names = [
        each
        for each, value in vars(module).items()
        if not each.startswith("_")
        and (isinstance(value, GameSpec) or (callable(value) and getattr(value, "__module__", None) == module.__name__))
    ]
    near = difflib.get_close_matches(attribute, names, n=_NAMES_MAX, cutoff=0.3)
    names = [*near, *(each for each in names if each not in near)]
    shown = ", ".join(names[:_NAMES_MAX]) + (", ..." if len(names) > _NAMES_MAX else "")
    return f"{module.__name__} has no {attribute}; it has {shown or 'no function or class of its own'}"


def _search_the_current_folder() -> None:
    """Let modules in the current folder be imported, in every process that makes the game, as `python -m` does.

    The module search path of an installed command starts with the folder of its script instead.
    """
    folder = os.getcwd()  # noqa: PTH109 - sys.path holds text
    if folder not in sys.path and "" not in sys.path:
        sys.path.insert(0, folder)
