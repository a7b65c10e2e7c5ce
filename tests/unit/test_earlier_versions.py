"""What version 0.1 wrote, read or refused by this version: each is built here as that version's code wrote it."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from support import format_1
from support.runs import SPEC, make_header, trajectory

from broodmind.actors.client.agent import Status
from broodmind.common import deprecated
from broodmind.common.errors import ConfigError, WireError
from broodmind.common.spec import READABLE, RunSpec
from broodmind.common.wire import codec
from broodmind.common.wire.archive_format import MAGIC, SUFFIX, frame, read_segment
from broodmind.common.wire.entry_header import parse_entry
from broodmind.common.wire.weights import digest
from broodmind.learner.ingest.quarantine import PoisonCandidate, poison_candidates
from broodmind.learner.ledger.counters import Counters
from broodmind.learner.ledger.id_ranges import IdRange
from broodmind.learner.ledger.ledger_entry import parse_ledger_entry
from broodmind.learner.metrics.run_metrics import History
from broodmind.learner.persistence.checkpoints import read_checkpoint

# The counters of a head, of a ledger entry and of a checkpoint.
COUNTERS = {
    "updates": 5,
    "accepted": 10,
    "declared": 3,
    "steps": 80,
    "games": 7,
    "stale": 1,
    "too_old": 0,
    "wrong_epoch": 0,
    "foreign": 2,
    "invalid": 4,
    "duplicate": 0,
    "non_finite": 0,
    "poison": 0,
    "overflow": 6,
}


@pytest.mark.parametrize("imported", [False, True])
def test_an_entry_in_a_stream_is_rejected_in_a_line_that_names_both_formats(imported):
    header = make_header(0, 0, 8, 1, 5, imported=imported)
    raw = [
        part if isinstance(part, bytes) else str(part).encode() for part in format_1.entry_fields(header, b"payload")
    ]
    with pytest.raises(WireError) as caught:
        parse_entry(raw)
    assert str(caught.value) == "entry: format 1, expected 2: its actor is of an older version of broodmind"


def test_the_spec_of_a_run_is_read_and_an_actor_of_this_version_is_told_why_it_must_wait():
    stored = spec_of_0_1()
    assert RunSpec.from_json(stored, formats=READABLE) == SPEC
    with pytest.raises(ConfigError, match=r"^run spec: format 1, expected 2: the run's learner is of another version"):
        RunSpec.from_json(stored)


def spec_of_0_1():
    """The text of a spec, which said nothing of its format."""
    text = json.loads(SPEC.to_json())
    del text["format"]
    return json.dumps(text, sort_keys=True, separators=(",", ":")).encode()


def test_counters_are_read():
    counters = Counters.from_fields({name: str(value) for name, value in COUNTERS.items()})
    assert (counters.imported, counters.off_run, counters.invalid) == (3, 2, 4)
    assert (counters.overflow, counters.lost) == (0, 6)  # what was lost had the other name


def test_of_two_versions_that_wrote_to_a_hash_the_later_one_counts():
    assert Counters.from_fields({"declared": "3", "imported": "4"}).imported == 4
    assert Counters.from_fields({"imported": "4", "declared": "3"}).imported == 4


def test_a_ledger_entry_is_read():
    fields = {
        "consumed": '{"a":"7-1..3","b":"7-1"}',
        "epoch": 1,
        "version": 3,
        "commit": "c0ffee",
        "parent": "facade",
        "server": "x",
        **COUNTERS,
        "token": "1-aa",
        "published": 1,
        "gaps": "{}",
        "refused": '{"stale":{"a":"7-2"},"foreign":{"a":"7-3","b":"7-1"}}',
    }
    entry = parse_ledger_entry(b"5-0", [str(part).encode() for pair in fields.items() for part in pair])
    assert entry.rejected == {
        "stale": {"a": [IdRange(7, 2, 2)]},
        "off_run": {"a": [IdRange(7, 3, 3)], "b": [IdRange(7, 1, 1)]},
    }
    assert (entry.counters.imported, entry.counters.off_run) == (3, 2)


def test_a_history_is_restored():
    history = History()
    history.restore(
        {
            "returns": [1.0],
            "lengths": [8],
            "wins": [],
            "staleness": [0],
            "age_s": [0.5],
            "refused_by_lag": [[5, 2]],
            "refused_by_length": [[8, 2]],
        }
    )
    assert history.rejections() == {"rejected_by_lag": {5: 2}, "rejected_by_length": {8: 2}}


@pytest.mark.parametrize(("refused", "rejected"), [("", ""), ("stale", "stale"), ("foreign", "off_run")])
def test_an_archive_segment_is_read(tmp_path, refused, rejected):
    played, head = trajectory(), {"format": 1, "run": "run", "spec": spec_of_0_1()}
    record = {
        "actor": "a",
        "id": [7, 1],
        "header": [3, 1, played.steps, played.games, 1000],
        "declared": True,
        "payload": format_1.encode_trajectory(played, "a"),
        "refused": refused,
        "problem": "",
        "commit": "c0ffee",
        "version": 4,
    }
    path = tmp_path / f"run-000001{SUFFIX}"
    path.write_bytes(MAGIC + frame(codec.encode(head)) + frame(codec.encode(record)))
    spec, (entry,) = read_segment(path)
    assert spec == SPEC
    assert (entry.rejected, entry.header.imported, entry.header.versions) == (rejected, True, (3, 3))
    read = entry.trajectory(SPEC)
    np.testing.assert_array_equal(read.rewards, played.rewards)
    assert replace(read.episodes, began_ms=()) == replace(played.episodes, began_ms=())


def test_a_checkpoint_is_read(tmp_path):
    blobs = b"learner state", b"weights"
    fields = {
        "format": 1,
        "spec": spec_of_0_1().decode(),
        "epoch": 1,
        "version": 5,
        "commit": "c0ffee",
        "counters": COUNTERS,
        "learner": blobs[0],
        "weights": blobs[1],
        "digest": digest(b"".join(blobs)),
    }
    path = tmp_path / "checkpoint-0001-000000005.msgpack"
    path.write_bytes(codec.encode(fields))
    snapshot, spec = read_checkpoint(path)
    assert spec == SPEC
    assert (snapshot.counters.imported, snapshot.counters.off_run, snapshot.counters.accepted) == (3, 2, 10)


def test_an_entry_pending_with_the_consumer_of_that_version_is_a_poison_candidate():
    pending = [[b"7-1", b"alone", 5, 4], [b"7-2", b"mind", 5, 1]]
    assert poison_candidates("a", pending, after_death=True) == [PoisonCandidate("a", (7, 1), poison=True)]
    assert poison_candidates("a", pending, after_death=False) == [PoisonCandidate("a", (7, 1), poison=False)]


def test_json_keeps_the_keys_of_that_version_beside_those_of_today():
    shown = deprecated.with_old_fields({"imported": 3, "off_run": 2, "stale": 1})
    assert shown == {
        "imported": 3,
        "off_run": 2,
        "stale": 1,
        "declared": 3,
        "foreign": 2,
        "deprecated_keys": ["declared", "foreign"],
    }
    assert deprecated.in_old_names({"off_run": 2, "stale": 1}) == {"foreign": 2, "stale": 1}
    assert json.loads(json.dumps(shown)) == shown


def test_a_clients_status_still_says_how_many_games_were_dropped():
    status = Status("a", "connected", "", *range(1, 16))
    with pytest.warns(DeprecationWarning, match=r"Status\.dropped .* use Status\.lost"):
        assert status.dropped == status.lost == 15
