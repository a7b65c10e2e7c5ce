"""The labels of games: what of the caller's is told to the learner, and what the learner takes."""

from __future__ import annotations

import json

import pytest

from broodmind.common.errors import WireError
from broodmind.common.labels import labels_from_text, labels_to_text, to_labels

LADDER, TERRAN, ZERG = ("map", "Ladder"), ("opponent", "Terran"), ("opponent", "Zerg")


def test_a_label_that_all_games_have_stands_once():
    text = labels_to_text([(LADDER, TERRAN), (LADDER, ZERG), (LADDER,)])
    assert json.loads(text) == {"map": "Ladder", "opponent": ["Terran", "Zerg", None]}
    assert labels_from_text(text.encode(), 3) == ((LADDER, TERRAN), (LADDER, ZERG), (LADDER,))


def test_of_the_callers_labels_the_first_four_that_are_plain_are_told():
    given = {"opponent": "Terran", "map": "Ladder", "seed": 7, "path": object(), "ranked": True, "fifth": "x"}
    assert to_labels(given) == (LADDER, TERRAN, ("ranked", "True"), ("seed", "7"))
    assert to_labels({"a": None, "b": "", "": "c"}) == ()


def test_long_texts_are_cut_and_what_no_terminal_shows_is_replaced():
    ((name, value),) = to_labels({"m" * 99: "\x1b[31m" + "é" * 99})
    assert (name, value) == ("m" * 32, "?[31m" + "é" * 27)
    assert labels_from_text(labels_to_text([((name, value),)]).encode(), 1) == (((name, value),),)


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"[]",
        b"{}",
        b"{",
        b"\xff",
        b'{"map": 7}',
        b'{"map": ""}',
        b'{"": "x"}',
        b'{"map": ["x"]}',
        b'{"map": ["x", 7]}',
        b'{"map": [null, null]}',
        b'{"map": "\\u001b[31m"}',
        b'{"map": "\\ud800"}',
        b'{"a": "x", "b": "x", "c": "x", "d": "x", "e": "x"}',
        json.dumps({"map": "x" * 33}).encode(),
        json.dumps({"m" * 33: "x"}).encode(),
        b"[" * 4000,
        b" " * 10_000,
    ],
)
def test_any_other_text_is_refused(text):
    with pytest.raises(WireError, match=r"^entry: labels are "):
        labels_from_text(text, 2)
