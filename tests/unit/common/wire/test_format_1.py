"""Payloads of version 0.1, as its archive segments hold them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from support import format_1 as written
from support.runs import SPEC, make_header, trajectory

from broodmind.common.errors import WireError
from broodmind.common.wire import codec, format_1
from broodmind.common.wire.entry_header import Episodes

PLAYED = trajectory()
# The games of an entry of format 1 are in its payload alone.
HEADER = make_header(3, 1, PLAYED.steps, 0, 1000)


def read(fields, header=HEADER, spec=SPEC):
    return format_1.decode_trajectory(codec.encode(fields), header, "a", spec)


def test_a_payload_is_read_as_it_was_written():
    found = read(written.payload_fields(PLAYED, "a"))
    for name in ("observations", "actions", "log_probs", "rewards", "terminated", "truncated", "valid"):
        np.testing.assert_array_equal(getattr(found, name), getattr(PLAYED, name), name)
    assert (found.masks, found.version_offsets) == (None, None)


def test_when_its_games_began_is_not_known_and_how_they_ended_may_be():
    spec = replace(SPEC, game=replace(SPEC.game, wins=True, masked=True))
    masks = np.ones((*PLAYED.valid.shape, 2), np.bool_)
    played = replace(PLAYED, masks=masks, episodes=Episodes((2.5,), (4,), (), (True,)))
    found = read(written.payload_fields(played, "a"), spec=spec)
    assert found.episodes == Episodes((2.5,), (4,), (HEADER.created_ms,), (True,))
    assert found.masks.all()


@pytest.mark.parametrize("imported", [False, True])
def test_an_imported_games_outcome_may_be_unknown_and_no_other_games(imported):
    fields, spec = written.payload_fields(PLAYED, "a"), replace(SPEC, game=replace(SPEC.game, wins=True))
    header = replace(HEADER, imported=imported)
    if imported:
        assert read(fields, header, spec).episodes.wins is None
    else:
        with pytest.raises(WireError, match=r"^entry: wins is missing"):
            read(fields, header, spec)


@pytest.mark.parametrize(
    ("changed", "error"),
    [
        ({"format": 2}, "^format: 2, expected an integer from 1 to 1"),
        ({"actor": "b"}, "^actor: 'b', expected 'a', whose stream this is"),
        ({"mood": 1}, r"^payload: missing fields \[\], unknown fields \['mood'\]"),
        ({"masks": np.ones((4, 2, 2), np.bool_)}, "^masks: there, expected none: the run's game has none"),
        ({"actions": np.zeros((0, 2), np.int32)}, "^actions: 0 steps, expected 1 to 4"),
        ({"actions": np.zeros((5, 2), np.int32)}, "^actions: 5 steps, expected 1 to 4"),
        ({"actions": np.full((4, 2), 2, np.int32)}, "^actions: 2 to 2, expected 0 to 1"),
        ({"returns": np.zeros(2, np.float32)}, r"^lengths: shape \(1,\), expected \(2\)"),
        ({"returns": np.full(1, np.nan, np.float32)}, "^returns: not finite"),
        ({"terminated": np.zeros((4, 2), np.bool_)}, "^entry: games is 1, expected 0 as ended in the steps"),
        ({"wins": np.ones(1, np.bool_)}, "^entry: wins is there"),
    ],
)
def test_what_is_wrong_is_refused_by_its_field(changed, error):
    with pytest.raises(WireError, match=error):
        read({**written.payload_fields(PLAYED, "a"), **changed})


def archived(**changed):
    return {"header": [3, 1, 8, 2, 1000], "imported": False, **changed}


def test_a_header_has_everything_but_the_games():
    assert format_1.archived_header(archived()) == make_header(3, 1, 8, 0, 1000)
    assert format_1.archived_header(archived(imported=True)) == make_header(3, 1, 8, 0, 1000, imported=True)
    assert format_1.archived_header(archived(header=None)) is None


@pytest.mark.parametrize("raw", [1, [], [3, 1, 8, 2], [3, 1, 8, 2, "1000"], [3, 1, 8, 2, -1], [3, 1, 8, True, 1000]])
def test_a_header_that_is_none_is_refused(raw):
    with pytest.raises(WireError, match=r"^header: .*, expected 5 numbers of at least 0"):
        format_1.archived_header(archived(header=raw))
