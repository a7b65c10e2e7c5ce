"""A game's own metrics in the header of an entry: what is sent, and what is refused."""

from __future__ import annotations

import json

import pytest

from broodmind.common.errors import ConfigError, WireError
from broodmind.common.own_metrics import (
    NAME_MAX,
    NAMES_MAX,
    VALUE_MAX,
    VALUES_MAX,
    check_name,
    check_value,
    metrics_from_text,
    metrics_of,
    metrics_to_text,
    of_games,
)


def test_a_person_can_read_them_in_redis_cli():
    games = ((("supply", 171.5), ("workers", 60.0)), (("supply", 160.25),))
    text = metrics_to_text(games)
    assert text == '{"supply":[171.5,160.25],"workers":[60.0,null]}'
    assert metrics_from_text(text.encode(), 2) == games


def test_numbers_arrive_exactly():
    games = tuple((("x", value),) for value in (0.1, 1 / 3, -VALUE_MAX, 5e-324))
    assert metrics_from_text(metrics_to_text(games).encode(), 4) == games


def test_as_many_names_are_sent_as_a_run_has():
    games = [tuple((f"n{number:02}", 1.0) for number in range(NAMES_MAX + 5))]
    (sent,) = metrics_from_text(metrics_to_text(games).encode(), 1)
    assert [name for name, _ in sent] == [f"n{number:02}" for number in range(NAMES_MAX)]
    longest = [tuple((f"{number:02}".rjust(NAME_MAX, "n"), -1.2345678901234567e-300) for number in range(NAMES_MAX))]
    assert metrics_from_text(metrics_to_text(longest * 50).encode(), 50) == tuple(longest * 50)


def test_an_entry_of_very_many_games_has_fewer_names_so_that_it_stays_small():
    games = [(("a", 1.0), ("b", 2.0), ("c", 3.0))] * (VALUES_MAX // 2)
    text = metrics_to_text(games).encode()
    assert metrics_from_text(text, len(games))[-1] == (("a", 1.0), ("b", 2.0))
    with pytest.raises(WireError, match="at most 1 names"):
        metrics_from_text(text, VALUES_MAX)


@pytest.mark.parametrize(
    "text",
    [
        *("", "nonsense", "[]", "{}", '{"a": 1.0}', '{"a": [1.0]}', '{"a": [1.0, 2.0, 3.0]}', '{"a": [1.0, "2"]}'),
        *(
            '{"a": [1.0, true]}',
            '{"a": [1.0, NaN]}',
            '{"a": [1.0, Infinity]}',
            '{"a": [1.0, 1e16]}',
            '{"": [1.0, 2.0]}',
        ),
        *('{"a b": [1.0, 2.0]}', '{"a\\u001b": [1.0, 2.0]}', json.dumps({"n" * (NAME_MAX + 1): [1.0, 2.0]})),
        json.dumps({f"n{number}": [1.0, 2.0] for number in range(NAMES_MAX + 1)}),
        "[" * 5000,
        '{"a": [1.0, 2.0]}' + " " * 10_000,
        '{"a": [1.0, ' + "9" * 5000 + "]}",
        "\udcff",
    ],
)
def test_anything_else_is_refused(text):
    with pytest.raises(WireError, match="entry: metrics are"):
        metrics_from_text(text.encode(errors="surrogateescape"), 2)


@pytest.mark.parametrize("name", ["", "a b", "/a", "\x1b[2J", "ä", "n" * (NAME_MAX + 1), 7, None])
def test_a_name_that_is_none_is_an_error_that_says_what_is_one(name):
    with pytest.raises(ConfigError, match=r"metric: .*, expected a name of at most 64 letters"):
        check_name(name)


def test_usual_names_are_taken():
    for name in ("supply", "army_supply", "build/hatcheries", "resources.minerals", "n" * NAME_MAX, "7-pool"):
        assert check_name(name) == name


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -1.1e15])
def test_a_value_that_cannot_be_averaged_is_an_error(value):
    with pytest.raises(ConfigError, match=r"metric supply: .*, expected a finite number of at most 1e\+15 either way"):
        check_value("supply", value)


def test_games_none_of_which_has_any_have_none_together():
    assert of_games([(), ()]) == ()
    assert of_games([(), (("a", 1.0),)]) == ((), (("a", 1.0),))


@pytest.mark.parametrize("stored", [None, [], {"a": "1"}, {"a": float("nan")}, {1: 1.0}])
def test_what_was_stored_is_checked(stored):
    with pytest.raises(TypeError):
        metrics_of(stored)
