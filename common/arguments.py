"""Checks of the arguments of public functions: each returns the value as Python has it, or says what is allowed.

Numbers of numpy are numbers too. They are recognised without numpy, which a program that only defines a game may lack.
"""

from __future__ import annotations

import math
import os
import threading
from collections.abc import Sequence
from numbers import Integral, Real
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from .errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")

_SHOWN = 80  # characters of a value: it may be a large array
_WAIT_MAX_S = min(threading.TIMEOUT_MAX, 1e8)  # of a lock; three years
_BOOL_OF_NUMPY = {"bool", "bool_"}  # the name of its class, by version


def invalid(name: str, value: object, expected: str) -> ConfigError:
    """The error for a value that cannot be used."""
    return ConfigError(f"{name}: {repr(value)[:_SHOWN]}, expected {expected}")


def optional(check: Callable[[str, Any], T], name: str, value: Any) -> T | None:  # noqa: ANN401 - to be checked
    """What `check` returns, or None if the value is None."""
    return None if value is None else check(name, value)


def is_whole(value: Any) -> bool:  # noqa: ANN401
    """Whether it is an int, or an integer of numpy; True is none."""
    return not isinstance(value, bool) and isinstance(value, Integral)


def is_number(value: Any) -> bool:  # noqa: ANN401
    """Whether it is an int or a float, or one of numpy's; True is none."""
    return not isinstance(value, bool) and isinstance(value, Real)


def is_flag(value: object) -> bool:
    """Whether it is True or False, or one of numpy's."""
    of_numpy = type(value).__module__ == "numpy" and type(value).__name__ in _BOOL_OF_NUMPY
    return isinstance(value, bool) or of_numpy


def whole_number(name: str, value: Any, least: int | None = None) -> int:  # noqa: ANN401
    """An int. Raises ConfigError for anything else, also for True."""
    if is_whole(value):
        number = int(value)
        if least is None or number >= least:
            return number
    raise invalid(name, value, "a whole number" if least is None else f"a whole number of at least {least}")


def finite_number(name: str, value: Any) -> float:  # noqa: ANN401
    """A float, or an int where it is one. Raises ConfigError for anything else, also for NaN and True."""
    if is_number(value):
        number = int(value) if is_whole(value) else float(value)
        try:
            if math.isfinite(number):
                return number
        except OverflowError:
            pass
    raise invalid(name, value, "a finite number")


def seconds(name: str, value: Any) -> float:  # noqa: ANN401
    """A time to wait: 0 if it is negative, as what is left until a moment that has passed. It may be infinite."""
    if is_number(value) and (value >= 0 or value < 0):  # and not NaN
        return float(min(max(value, 0), _WAIT_MAX_S))
    raise invalid(name, value, "a number of seconds")


def flag(name: str, value: Any) -> bool:  # noqa: ANN401
    """True or False. Raises ConfigError for anything else, also for 1."""
    if is_flag(value):
        return bool(value)
    raise invalid(name, value, "True or False")


def text(name: str, value: Any) -> str:  # noqa: ANN401
    """A text that is not empty."""
    if isinstance(value, str) and value:
        return value
    raise invalid(name, value, "a text that is not empty")


def path(name: str, value: Any) -> Path:  # noqa: ANN401
    """A path. An empty text is none: it would be the current folder."""
    if isinstance(value, str | os.PathLike):
        given = os.fspath(value)
        if isinstance(given, str) and given and "\0" not in given:
            return Path(given)
    raise invalid(name, value, "a path")


def whole_numbers(name: str, value: Any, least: int) -> tuple[int, ...]:  # noqa: ANN401
    """Several ints, at least one: of a tuple, a list or an array."""
    expected = f"whole numbers of at least {least}, such as ({least + 2}, {least + 1})"
    return _several(name, value, expected, lambda each: whole_number(name, each, least))


def finite_numbers(name: str, value: Any) -> tuple[float, ...]:  # noqa: ANN401
    """Several finite numbers, at least one: of a tuple, a list or an array."""
    return _several(name, value, "finite numbers, such as (0.0, 1.0)", lambda each: finite_number(name, each))


def instance(name: str, value: Any, kind: type[T]) -> T:  # noqa: ANN401
    """An object of a class."""
    if isinstance(value, kind):
        return value
    raise invalid(name, value, f"a {kind.__name__}")


def function(name: str, value: Any) -> Any:  # noqa: ANN401 - of a type that only its caller knows
    """Something that can be called."""
    if callable(value):
        return value
    raise invalid(name, value, "a function")


def choice(name: str, value: Any, choices: Sequence[T]) -> T:  # noqa: ANN401
    """One of a few texts."""
    for each in choices:
        if isinstance(value, str) and value == each:
            return each
    raise invalid(name, value, f"one of {', '.join(map(str, choices))}")


def _several(name: str, value: Any, expected: str, check: Callable[[Any], T]) -> tuple[T, ...]:  # noqa: ANN401
    is_array = getattr(value, "ndim", 0) == 1  # of numpy
    if isinstance(value, str | bytes) or not (isinstance(value, Sequence) or is_array) or not len(value):
        raise invalid(name, value, expected)
    try:
        return tuple(check(each) for each in value)
    except ConfigError:
        raise invalid(name, value, expected) from None
