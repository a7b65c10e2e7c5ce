"""The states of an entry, and the command that carries it."""

from __future__ import annotations

import itertools

import pytest
from support.runs import make_header

from broodmind.actors.transport.entry import TRANSITIONS, Entry, State

CONTENT = (make_header(0, 3, 4, 1, 1_700_000_000_000), b"payload")

# Written out again, so that a change of the table is a change of this one too.
ALLOWED = {
    "QUEUED": {"NUMBERED", "DROPPED"},
    "NUMBERED": {"SENT"},
    "SENT": {"ACKNOWLEDGED", "NUMBERED", "QUEUED", "DROPPED"},
    "ACKNOWLEDGED": {"DOUBTED", "SAFE"},
    "DOUBTED": {"ACKNOWLEDGED"},
    "SAFE": set(),
    "DROPPED": set(),
}


@pytest.mark.parametrize(("before", "after"), list(itertools.product(State, State)))
def test_an_entry_allows_exactly_the_transitions_in_the_table(before, after):
    entry = Entry(7, CONTENT, state=before)
    if after.name in ALLOWED[before.name]:
        entry.move(after)
        assert entry.state is after
    else:
        with pytest.raises(AssertionError, match=f"{before.name} -> {after.name}"):
            entry.move(after)


def test_the_table_has_no_other_transition():
    assert {(before.name, after.name) for before, after in TRANSITIONS} == {
        (before, after) for before, allowed in ALLOWED.items() for after in allowed
    }


def test_an_entry_is_an_xadd_with_an_id_of_its_own_and_no_maxlen():
    entry = Entry(7, CONTENT, entry_id=(1234, 1))
    assert entry.command("stream") == (
        *("XADD", "stream", "1234-1"),
        *(b"format", b"2", b"epoch", 3, b"versions", 0, b"commits", "", b"steps", 4, b"bytes", 7, b"games", 1),
        *(b"time", 1_700_000_000_000, b"open", b"", b"overflow", 0),
        *(b"returns", "1.0", b"lengths", "4", b"began", "0", b"payload", b"payload"),
    )


def test_the_time_is_the_servers_and_the_overflow_of_the_moment_it_is_sent():
    command = Entry(7, CONTENT, entry_id=(1234, 1)).command("stream", clock_offset_ms=-500, overflow=3)
    fields = dict(zip(command[3::2], command[4::2], strict=True))
    assert (fields[b"time"], fields[b"overflow"], fields[b"began"]) == (1_699_999_999_500, 3, "0")
