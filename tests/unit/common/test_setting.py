"""A setting's value: converted from text and TOML, held against its range, named when it does not fit."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import pytest

from broodmind.common.errors import ConfigError
from broodmind.common.setting import Setting, check_settings, settings_of


@dataclass(frozen=True, slots=True)
class Sample:
    share: Annotated[float, Setting("A share.", ge=0, le=1, unit="of all")] = 0.5
    count: Annotated[int, Setting("A count.", gt=0, lt=10)] = 3
    any_number: Annotated[float | None, Setting("Any number.")] = None
    widths: Annotated[tuple[int, ...], Setting("Widths.", ge=1)] = (8, 8)
    names: Annotated[tuple[str, ...], Setting("Names.")] = ()
    kind: Annotated[Literal["one", "two"], Setting("A kind.")] = "one"
    on: Annotated[bool, Setting("A switch.")] = False
    folder: Annotated[Path | None, Setting("A folder.")] = None
    word: Annotated[str, Setting("A word.", secret=True)] = "x"
    derived: int = 7

    def __post_init__(self):
        check_settings(self)


FIELDS = settings_of(Sample)


def test_only_annotated_fields_are_settings():
    assert list(FIELDS) == ["share", "count", "any_number", "widths", "names", "kind", "on", "folder", "word"]
    assert (FIELDS["share"].kind, FIELDS["share"].default, FIELDS["share"].setting.unit) == (float, 0.5, "of all")
    assert FIELDS["kind"].choices == ("one", "two")


@pytest.mark.parametrize(
    ("name", "raw", "value"),
    [
        ("share", "0.25", 0.25),
        ("share", 1, 1.0),
        ("count", "9", 9),
        ("any_number", "-1e3", -1000.0),
        ("any_number", None, None),
        ("widths", "16,4", (16, 4)),
        ("widths", [16], (16,)),
        ("names", "supply, apm", ("supply", "apm")),
        ("names", ["supply", "apm,supply"], ("supply", "apm")),
        ("names", [], ()),
        ("kind", "two", "two"),
        ("on", "yes", True),
        ("on", "0", False),
        ("on", True, True),
        ("folder", "a/b", Path("a/b")),
    ],
)
def test_a_value_is_converted_to_its_settings_type(name, raw, value):
    converted = FIELDS[name].convert(raw)
    assert converted == value
    assert type(converted) is type(value)
    assert FIELDS[name].convert(FIELDS[name].plain(converted)) == value


@pytest.mark.parametrize(
    ("name", "raw", "message"),
    [
        ("share", "2", "share: 2, expected a finite number of at least 0 and at most 1"),
        ("share", "nan", "share: nan, expected a finite number of at least 0 and at most 1"),
        ("share", "much", "share: 'much', expected a finite number of at least 0 and at most 1"),
        ("share", True, "share: true, expected a finite number of at least 0 and at most 1"),
        ("any_number", "inf", "any_number: inf, expected a finite number"),
        ("count", "0", "count: 0, expected a whole number of more than 0 and less than 10"),
        ("count", "10", "count: 10, expected a whole number of more than 0 and less than 10"),
        ("count", "2.5", "count: 2.5, expected a whole number of more than 0 and less than 10"),
        ("count", 2.0, "count: 2.0, expected a whole number of more than 0 and less than 10"),
        ("count", None, "count: None, expected a whole number of more than 0 and less than 10"),
        ("widths", "64,x", "widths: '64,x', expected whole numbers such as 64,64 of at least 1"),
        ("widths", "64,0", "widths: '64,0', expected whole numbers such as 64,64 of at least 1"),
        ("widths", [], "widths: [], expected whole numbers such as 64,64 of at least 1"),
        ("names", "a,,b", "names: 'a,,b', expected names, one by one or with commas between"),
        ("names", [1], "names: [1], expected names, one by one or with commas between"),
        ("kind", "three", "kind: 'three', expected one of one, two"),
        ("on", "maybe", "on: 'maybe', expected true or false"),
        ("folder", "", "folder: '', expected a path"),
        ("word", 5, "word: ***, expected text"),
    ],
)
def test_an_invalid_value_is_refused_with_what_is_allowed(name, raw, message):
    with pytest.raises(ConfigError) as refused:
        FIELDS[name].convert(raw)
    assert str(refused.value) == message


def test_the_source_is_named():
    with pytest.raises(ConfigError, match=r"^share: 2 \(run.toml\), expected"):
        FIELDS["share"].convert("2", "run.toml")


@pytest.mark.parametrize("bad", [{"share": 1.5}, {"share": math.nan}, {"count": 0}, {"widths": ()}, {"kind": "three"}])
def test_an_instance_is_checked_too(bad):
    with pytest.raises(ConfigError, match=f"^{next(iter(bad))}: "):
        Sample(**bad)
