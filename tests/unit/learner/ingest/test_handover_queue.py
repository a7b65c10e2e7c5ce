"""The queue between the reading thread and the one that takes: order, errors, waiting, and the count of steps held."""

from __future__ import annotations

import subprocess
import sys
from types import SimpleNamespace

import pytest

from broodmind.common.errors import BroodmindError
from broodmind.learner.ingest.handover_queue import HandoverQueue
from broodmind.learner.ledger.stream_entry import Entry


class Valid:
    """In place of a trajectory's `valid`: whoever asks for its size is interrupted, as by a switch of threads."""

    def __init__(self, size, interruptions=()):
        self._size, self._interruptions = size, list(interruptions)

    @property
    def size(self):
        if self._interruptions:
            self._interruptions.pop(0)()
        return self._size


def an_entry(sequence, steps=8, interruptions=()):
    played = SimpleNamespace(valid=Valid(steps, interruptions))
    return Entry("a", (7, sequence), None, played)


def rejected(sequence):
    return Entry("a", (7, sequence), None, None, "invalid")


def test_entries_are_taken_in_the_order_in_which_they_were_put():
    queue = HandoverQueue()
    for sequence in (1, 2, 3):
        queue.put(an_entry(sequence))
    assert not queue.empty
    assert [queue.take(0).id for _ in range(3)] == [(7, 1), (7, 2), (7, 3)]
    assert queue.take(0) is None
    assert queue.empty


def test_held_steps_are_those_put_and_not_taken():
    queue = HandoverQueue()
    for entry in (an_entry(1, steps=8), rejected(2), an_entry(3, steps=5)):
        queue.put(entry)
    held = [queue.held_steps]
    while queue.take(0) is not None:
        held.append(queue.held_steps)
    assert held == [14, 6, 5, 0]


def test_steps_put_during_a_take_are_counted():
    """With one count that both threads change, `count -= size` writes what it had read before the other's change."""
    queue = HandoverQueue()
    queue.put(an_entry(1, steps=8, interruptions=[lambda: None, lambda: queue.put(an_entry(2, steps=3))]))
    assert queue.take(0).id == (7, 1)
    assert queue.held_steps == 3
    assert queue.take(0).id == (7, 2)
    assert queue.held_steps == 0


def test_steps_taken_during_a_put_are_counted():
    queue = HandoverQueue()
    queue.put(an_entry(1, steps=8))
    queue.put(an_entry(2, steps=3, interruptions=[lambda: queue.take(0)]))
    assert queue.held_steps == 3
    assert queue.take(0).id == (7, 2)
    assert queue.held_steps == 0


def test_an_error_is_raised_after_the_entries_before_it():
    queue = HandoverQueue()
    queue.put(rejected(1))
    queue.fail(BroodmindError("ended"))
    assert queue.take(0).id == (7, 1)
    with pytest.raises(BroodmindError, match="ended"):
        queue.take(0)


TAKING = """
import random, signal
from broodmind.learner.ingest.handover_queue import HandoverQueue

signal.signal(signal.SIGALRM, lambda *_: None)
queue = HandoverQueue()
for _ in range(400):
    signal.setitimer(signal.ITIMER_REAL, 0.003 + random.uniform(-0.00025, 0.00015))
    assert queue.take(0.003) is None
"""


def test_a_signal_at_the_end_of_the_timeout_does_not_make_take_wait_for_ever():
    """SIGTERM would then be heard and never heeded. With a SimpleQueue it takes some ten attempts."""
    assert subprocess.run([sys.executable, "-c", TAKING], check=False, timeout=120).returncode == 0
