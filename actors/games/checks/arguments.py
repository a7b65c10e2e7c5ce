"""The arguments of a game: which its factory takes, and the error for one that it does not take."""

from __future__ import annotations

import difflib
import inspect
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from ....common.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

COPIES = "num_envs"  # the parameter of a factory that makes all copies at once
NO_ARGS: Mapping[str, Any] = MappingProxyType({})
_NAMED = {inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY}


def parameters(factory: Callable[..., Any]) -> Mapping[str, inspect.Parameter] | None:
    """The parameters of a factory that can be given by name; None if it takes any name, or does not say."""
    try:
        found = inspect.signature(factory).parameters
    except (ValueError, TypeError):  # of a class that is not written in Python
        return None
    if any(each.kind is inspect.Parameter.VAR_KEYWORD for each in found.values()):
        return None
    return {name: each for name, each in found.items() if each.kind in _NAMED}


def takes_copies(factory: Callable[..., Any]) -> bool:
    """Whether a factory makes all copies at once: it has a parameter num_envs."""
    try:
        return COPIES in inspect.signature(factory).parameters
    except (ValueError, TypeError):
        return False


def check_arguments(
    game: str, factory: Callable[..., Any], args: Mapping[str, Any], besides: Collection[str] = ()
) -> None:
    """Raise ConfigError for an argument that the factory does not take, and for a missing one that it needs.

    Args:
        game: the game's name.
        factory: what is called with the arguments, and with the number of copies if it takes it.
        args: the arguments.
        besides: arguments that others take who are called with them.
    """
    check_not_copies(args)
    known = parameters(factory)
    if known is None:
        return
    takes = [name for name in [*known, *besides] if name != COPIES]
    for name in args:
        if name not in takes:
            raise ConfigError(f"game_args: {name}={args[name]!r}, expected {_expected(game, name, takes)}")
    for name, parameter in known.items():
        if parameter.default is inspect.Parameter.empty and name not in args and name != COPIES:
            raise ConfigError(f"game_args: no {name}, expected --game-arg {name}=VALUE: {game} cannot be made without")


def check_not_copies(args: Mapping[str, Any]) -> None:
    """Raise ConfigError if the number of copies is among the arguments."""
    if COPIES in args:
        raise ConfigError(f"game_args: {COPIES}={args[COPIES]!r}, expected the number of copies as --envs")


def _expected(game: str, name: str, takes: list[str]) -> str:
    if not takes:
        return f"none: {game} takes no arguments"
    near = difflib.get_close_matches(name, takes, n=1)
    meant = f"; did you mean {near[0]}?" if near else ""
    return f"an argument that {game} takes: {', '.join(takes)}{meant}"
