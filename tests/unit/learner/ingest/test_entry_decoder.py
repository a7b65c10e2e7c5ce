"""From a stream entry's fields to an entry: decoded, or rejected with the reason."""

from __future__ import annotations

import pytest
from support.runs import SPEC, make_header, trajectory

from broodmind.common.wire.trajectory import encode_trajectory
from broodmind.learner.ingest.entry_decoder import EntryDecoder, poison_entry

HEADER = make_header(1, 1, 8, 1, 10**12)


def fields(payload=None):
    payload = encode_trajectory(trajectory(), "a", SPEC) if payload is None else payload
    return [part if isinstance(part, bytes) else str(part).encode() for part in HEADER.fields(payload)]


def test_a_valid_entry_is_decoded():
    entry = EntryDecoder(SPEC, lambda _: None).decode("a", (7, 1), fields())
    assert (entry.actor, entry.id, entry.header, entry.rejected) == ("a", (7, 1), HEADER, None)
    assert entry.trajectory.steps == 8
    assert entry.payload == b""


def test_an_entry_that_its_header_rejects_is_not_decoded():
    entry = EntryDecoder(SPEC, lambda _: "stale").decode("a", (7, 1), fields(b"no payload at all"))
    assert (entry.rejected, entry.trajectory, entry.problem) == ("stale", None, "")


@pytest.mark.parametrize("raw", [fields(b"x" * 5000), [b"no", b"entry"], [], None])
def test_an_undecodable_entry_is_rejected_as_invalid_with_the_error_and_its_first_bytes(raw):
    entry = EntryDecoder(SPEC, lambda _: None).decode("a", (7, 1), raw)
    assert (entry.rejected, entry.trajectory) == ("invalid", None)
    assert entry.problem
    assert entry.shown == (b"x" * 4096 if raw and len(raw) > 2 else b"")


@pytest.mark.parametrize("rejection", [None, "stale"])
def test_payloads_are_kept_for_the_archive_whether_accepted_or_rejected(rejection):
    entry = EntryDecoder(SPEC, lambda _: rejection, keep_payloads=True).decode("a", (7, 1), fields())
    assert entry.payload == encode_trajectory(trajectory(), "a", SPEC)


def test_an_entry_known_as_poison_is_not_decoded():
    entry = poison_entry("a", (7, 1), fields(b"x" * 5000))
    assert (entry.header, entry.trajectory, entry.rejected, entry.shown) == (None, None, "poison", b"x" * 4096)
