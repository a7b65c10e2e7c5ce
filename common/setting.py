"""The description of a setting at its field: type, range, unit, default and one line of help.

Every part of the code that shows, reads or checks the setting uses this description.

    @dataclass(frozen=True, slots=True)
    class Goal:
        max_steps: Annotated[int | None, Setting("Stop after so many trained steps.", ge=1)] = None

        def __post_init__(self) -> None:
            check_settings(self)

A field without a `Setting` is not a setting: its value is derived from settings.
"""

from __future__ import annotations

import functools
import json
import math
from dataclasses import MISSING, dataclass, fields
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from .arguments import is_flag, is_number, is_whole
from .errors import ConfigError

_WORDS = {"true": True, "yes": True, "on": True, "1": True, "false": False, "no": False, "off": False, "0": False}


@dataclass(frozen=True, slots=True)
class Setting:
    """The description of a setting, beside its type and default."""

    help: str
    ge: float | None = None
    gt: float | None = None
    le: float | None = None
    lt: float | None = None
    unit: str = ""
    auto: str = ""  # the default in words, if it depends on the game or the algorithm
    command_defaults: tuple[tuple[str, str], ...] = ()  # of commands with a default of their own, in words
    choices: tuple[str, ...] = ()  # if the type does not list them
    secret: bool = False  # never on a command line, never shown, never stored
    holds_secret: bool = False  # a part of the value may be secret: it is not shown in messages


@dataclass(frozen=True, slots=True)
class SettingField:
    """One setting of a class."""

    name: str
    kind: type  # bool, int, float, str, Path, tuple for whole numbers, list for names, or dict for named values
    optional: bool
    choices: tuple[str, ...]  # empty: anything in the range
    default: Any
    setting: Setting

    @property
    def range(self) -> str:
        """The range in words, or nothing."""
        setting = self.setting
        bounds = (
            ("at least", setting.ge),
            ("more than", setting.gt),
            ("at most", setting.le),
            ("less than", setting.lt),
        )
        return " and ".join(f"{words} {bound:g}" for words, bound in bounds if bound is not None)

    @property
    def expected(self) -> str:
        """What is allowed, in words."""
        if self.choices:
            return f"one of {', '.join(self.choices)}"
        kinds = {
            bool: "true or false",
            int: "a whole number",
            float: "a finite number",
            str: "text",
            Path: "a path",
            list: "names, one by one or with commas between",
            dict: "values by name: true, false, finite numbers, text, and lists or tables of these",
        }
        kind = kinds.get(self.kind, "whole numbers such as 64,64")
        return f"{kind} of {self.range}" if self.range else kind

    def convert(self, raw: object, source: str = "") -> Any:  # noqa: ANN401 - of the field's type
        """Convert a value from text, TOML or JSON. Raises ConfigError naming the setting, the value and the range."""
        try:
            value = _named_values(raw, self.name) if self.kind is dict else self._converted(raw)
            if self._allows(value):
                return value
        except (ValueError, TypeError, KeyError, OverflowError):
            pass
        raise self._invalid(raw, source)

    def check(self, value: object) -> None:
        """Raise ConfigError unless the value is allowed."""
        try:
            allowed = self._allows(value)
        except TypeError:
            allowed = False
        if not allowed:
            raise self._invalid(value)

    def plain(self, value: Any) -> Any:  # noqa: ANN401 - of the field's type
        """The value in a type of JSON and TOML: the inverse of `convert`."""
        if isinstance(value, tuple):
            return list(value)
        return str(value) if isinstance(value, Path) else value

    def _converted(self, raw: object) -> object:
        if raw is None and self.optional:
            return None
        if self.kind is bool:
            return raw if isinstance(raw, bool) else _WORDS[str(raw).strip().lower()]
        if self.kind in {tuple, list}:
            return _whole_numbers(raw) if self.kind is tuple else _names(raw)
        if self.kind is int:
            return _whole(raw)
        if self.kind is float:
            return _float(raw)
        if not isinstance(raw, str | Path) or not str(raw):
            raise TypeError
        return self.kind(raw)

    def _allows(self, value: Any) -> bool:  # noqa: ANN401 - any value, to be checked
        if value is None:
            return self.optional
        if self.choices:
            return value in self.choices
        if self.kind is tuple:
            return bool(value) and all(self._in_range(each) for each in value)
        if self.kind is list:
            return isinstance(value, tuple) and all(isinstance(each, str) and each for each in value)
        if self.kind is dict:
            return isinstance(value, dict) and _is_plain(value)
        return self.kind not in {int, float} or self._in_range(value)

    def _in_range(self, value: float) -> bool:
        setting = self.setting
        return (
            math.isfinite(value)
            and (setting.ge is None or value >= setting.ge)
            and (setting.gt is None or value > setting.gt)
            and (setting.le is None or value <= setting.le)
            and (setting.lt is None or value < setting.lt)
        )

    def _invalid(self, value: object, source: str = "") -> ConfigError:
        shown = "***" if self.setting.secret or self.setting.holds_secret else _shown(value)
        return ConfigError(f"{self.name}: {shown}{f' ({source})' if source else ''}, expected {self.expected}")


def settings_of(group: Any) -> dict[str, SettingField]:  # noqa: ANN401 - a dataclass
    """The settings of a frozen dataclass, by name, in the order of its fields."""
    return _settings_of(group)


@functools.cache
def _settings_of(group: Any) -> dict[str, SettingField]:  # noqa: ANN401
    hints = get_type_hints(group, include_extras=True)
    found = {}
    for each in fields(group):
        hint = hints[each.name]
        marker = next((extra for extra in getattr(hint, "__metadata__", ()) if isinstance(extra, Setting)), None)
        if marker is not None:
            kind, optional, choices = _kind(get_args(hint)[0])
            default = each.default if each.default_factory is MISSING else each.default_factory()
            found[each.name] = SettingField(each.name, kind, optional, marker.choices or choices, default, marker)
    return found


def check_settings(group: Any) -> None:  # noqa: ANN401 - an instance of any group
    """Check every setting of a group's instance; for its `__post_init__`. Raises ConfigError naming the setting."""
    for name, field in settings_of(type(group)).items():
        field.check(getattr(group, name))


def _kind(hint: Any) -> tuple[type, bool, tuple[str, ...]]:  # noqa: ANN401 - a type hint
    """A type hint's kind, whether the value may be None, and its choices."""
    if get_origin(hint) in {Union, UnionType}:
        (inner,) = (each for each in get_args(hint) if each is not NoneType)
        kind, _, choices = _kind(inner)
        return kind, True, choices
    if get_origin(hint) is Literal:
        return str, False, get_args(hint)
    if get_origin(hint) is tuple:
        return list if str in get_args(hint) else tuple, False, ()
    if get_origin(hint) is dict:
        return dict, False, ()
    return hint, False, ()


def _whole_numbers(raw: object) -> tuple[int, ...]:
    parts = raw.split(",") if isinstance(raw, str) else raw
    if not isinstance(parts, list | tuple):
        raise TypeError
    return tuple(_whole(part) for part in parts)


def _names(raw: object) -> tuple[str, ...]:
    """Names from text with commas between, or from a list of such texts; each once."""
    texts = [raw] if isinstance(raw, str) else raw
    if not isinstance(texts, list | tuple) or not all(isinstance(each, str) for each in texts):
        raise TypeError
    return tuple(dict.fromkeys(part.strip() for text in texts for part in text.split(",")))


def _named_values(raw: object, setting: str) -> dict[str, Any]:
    """Named values from a table, from a JSON object as text, or from assignments NAME=VALUE."""
    if isinstance(raw, str):
        return dict(json.loads(raw))
    if isinstance(raw, list | tuple):
        return dict(_assigned(each, setting) for each in raw)
    if not isinstance(raw, dict):
        raise TypeError
    return {name: _of_python(each) for name, each in raw.items()}


def _assigned(assignment: str, setting: str) -> tuple[str, Any]:
    """The name and the value of NAME=VALUE. The value is JSON where it can be read as such, and otherwise text."""
    name, equals, value = assignment.partition("=")
    if not equals or not name.strip():
        raise ConfigError(f"{setting}: {assignment!r}, expected NAME=VALUE")
    try:
        return name.strip(), json.loads(value, parse_constant=str)
    except ValueError:
        return name.strip(), value


def _of_python(value: Any) -> Any:  # noqa: ANN401
    """The value with Python's numbers instead of numpy's, which neither JSON nor TOML has."""
    if isinstance(value, dict):
        return {name: _of_python(each) for name, each in value.items()}
    if isinstance(value, list):
        return [_of_python(each) for each in value]
    if is_flag(value):
        return bool(value)
    if is_number(value):
        return int(value) if is_whole(value) else float(value)
    return value


def _is_plain(value: object) -> bool:
    """Whether JSON and TOML both have the value."""
    if isinstance(value, dict):
        return all(isinstance(name, str) and name and _is_plain(each) for name, each in value.items())
    if isinstance(value, list):
        return all(map(_is_plain, value))
    return isinstance(value, bool | int | str) or (isinstance(value, float) and math.isfinite(value))


def _float(raw: Any) -> float:  # noqa: ANN401
    if isinstance(raw, str) or is_number(raw):
        return float(raw)
    raise TypeError


def _whole(raw: Any) -> int:  # noqa: ANN401
    if isinstance(raw, str):
        return int(raw)
    if is_whole(raw):
        return int(raw)
    raise TypeError


def _shown(value: object) -> str:
    """A value for an error message: numbers unchanged, anything else quoted."""
    if isinstance(value, str):
        try:
            float(value)
        except ValueError:
            return repr(value)
        return value.strip()
    return repr(value) if not isinstance(value, bool) else str(value).lower()
