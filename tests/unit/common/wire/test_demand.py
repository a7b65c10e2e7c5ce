"""The learner's demand in its text, and what is no demand."""

from __future__ import annotations

import json

import pytest

from broodmind.common.errors import WireError
from broodmind.common.wire.demand import Demand

DEMAND = Demand(serial=7, steps=2048, games=0, payload_bytes=1 << 20, batch_steps=4096, batch_games=16)
RAW = json.loads(DEMAND.to_json())


def test_a_demand_is_read_as_it_was_written():
    assert Demand.from_json(DEMAND.to_json().encode()) == DEMAND
    assert RAW == {
        "serial": 7,
        "steps": 2048,
        "games": 0,
        "payload_bytes": 1 << 20,
        "batch_steps": 4096,
        "batch_games": 16,
    }


def test_the_least_and_the_largest_are_taken():
    for value in (0, 2**53 - 1):
        demand = Demand(*[value] * 6)
        assert Demand.from_json(demand.to_json().encode()) == demand


def test_a_field_of_a_later_version_is_left_alone():
    assert Demand.from_json(json.dumps({**RAW, "mood": "good"}).encode()) == DEMAND


@pytest.mark.parametrize("name", list(RAW))
@pytest.mark.parametrize("value", [-1, 2**53, 1.0, 1.5, "1", None, True, [1], float("nan")])
def test_a_number_that_is_none_is_refused_by_name(name, value):
    with pytest.raises(WireError, match=rf"^demand: {name} is .*, expected an integer from 0 to 2\^53"):
        Demand.from_json(json.dumps({**RAW, name: value}).encode())


@pytest.mark.parametrize("name", list(RAW))
def test_a_number_that_is_missing_is_refused(name):
    text = json.dumps({key: value for key, value in RAW.items() if key != name}).encode()
    with pytest.raises(WireError, match=r"^demand: .*, expected one of this version of broodmind"):
        Demand.from_json(text)


@pytest.mark.parametrize(
    "text", [b"", b"{", b"[]", b"null", b"1", b'"x"', b"\xff", b"[" * 100_000, b"9" * 10_000], ids=lambda text: text[:8]
)
def test_a_text_that_is_none_is_refused_in_a_short_line(text):
    with pytest.raises(WireError, match=r"^demand: .*, expected one of this version of broodmind") as caught:
        Demand.from_json(text)
    assert len(str(caught.value)) < 200
