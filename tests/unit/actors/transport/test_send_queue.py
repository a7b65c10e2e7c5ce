"""The send queue's limits."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.runs import make_header

from broodmind.actors.transport.entry import Entry
from broodmind.actors.transport.send_queue import Limits, SendQueue
from broodmind.common.errors import ConfigError

CONTENT = (make_header(3, 1, 10, 1, 1234), b"")


def entries(count, size=100, *, spooled=False):
    return [Entry(size, CONTENT, Path(str(n)) if spooled else None, games=1) for n in range(count)]


def filled(limits, added, *, spooled=False):
    """A queue, and what it has removed."""
    queue = SendQueue(limits, spooled=spooled)
    return queue, [each for entry in added for each in queue.append(entry)]


@pytest.mark.parametrize("field", ["queue_games", "queue_bytes", "spool_bytes"])
def test_limits_are_positive(field):
    with pytest.raises(ConfigError, match=f"{field}: 0, expected"):
        Limits(**{field: 0})


@pytest.mark.parametrize("limits", [Limits(queue_games=3), Limits(queue_bytes=320)])
def test_the_oldest_are_removed_first(limits):
    added = entries(5)
    queue, removed = filled(limits, added)
    assert removed == added[:2]
    assert [queue.pop() for _ in range(3)] == added[2:]
    assert not queue


def test_games_are_limited_and_not_entries():
    added = entries(3)
    for entry, games in zip(added, (5, 4, 2), strict=True):
        entry.games = games
    _, removed = filled(Limits(queue_games=6), added)
    assert removed == added[:1]


def test_one_entry_larger_than_all_limits_is_kept_alone():
    added = entries(2)
    queue, removed = filled(Limits(queue_bytes=10), added)
    assert removed == added[:1]
    assert queue.pop() is added[1]


def test_entries_above_the_memory_limit_stay_on_disk_only():
    added = entries(4, spooled=True)
    _, removed = filled(Limits(queue_bytes=250), added, spooled=True)
    assert removed == []
    assert [entry.content is None for entry in added] == [False, False, True, True]


def test_the_disk_limit_is_in_bytes_and_not_in_entries():
    added = entries(10, spooled=True)
    _, removed = filled(Limits(queue_games=1, spool_bytes=550), added, spooled=True)
    assert removed == added[:5]


def test_without_limits_nothing_is_removed():
    added = entries(3000)
    queue, removed = filled(None, added)
    assert (removed, len(queue)) == ([], 3000)


def test_requeued_entries_come_first_and_count_towards_the_limits():
    added = entries(4)
    queue, _ = filled(Limits(queue_bytes=400), added)
    taken = [queue.pop(), queue.pop()]
    queue.put_back(taken)
    (extra,) = entries(1)
    assert queue.append(extra) == [added[0]]
    assert [queue.pop() for _ in range(4)] == [*added[1:], extra]
