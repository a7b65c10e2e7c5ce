"""Learners that run in threads of a test, and functions that wait for a state of their run."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from dataclasses import replace

from support.runs import SPEC, hash_of
from support.servers import PATIENCE_S, wait_until

from broodmind.common.errors import BroodmindError
from broodmind.common.process.shutdown import Stop
from broodmind.learner.config import IntakeConfig, Intervals, LearnerConfig, LeaseConfig
from broodmind.learner.loop import learn

ONE_PIECE = SPEC.rollout.fragment_length * 2
# The lease is so long that it does not expire on a busy machine. A test that kills a learner must delete its lease.
CONFIG = LearnerConfig(intake=IntakeConfig(batch_steps=2 * ONE_PIECE, max_age=1e12), lease=LeaseConfig(lease_ttl=60))

# For tests about actors that are silent: the learner looks for them all the time.
STRIKING_OFF = replace(CONFIG, intervals=Intervals(strike_off_s=0.05))


@contextmanager
def learning(url, run, config=CONFIG, spec=SPEC):
    """Run a learner that drains at the end of the block. An error that ended it is raised there."""
    stop, errors = Stop(), []

    def work():
        try:
            learn(url, run, spec, config, stop)
        except Exception as error:  # noqa: BLE001
            errors.append(error)

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    try:
        yield thread
    finally:
        stop.request()
        thread.join(PATIENCE_S)
    assert not thread.is_alive()
    if errors:
        raise errors[0]


def head_of(redis, keys, **expected):
    """Wait until the head's fields have the expected values, and return the head."""

    head: dict[str, str] = {}

    def look():
        nonlocal head
        head = hash_of(redis, keys.head)
        return all(int(head.get(name, -1)) == value for name, value in expected.items())

    wait_until(look, lambda: f"{expected} in {head}")
    return head


def counters(redis, keys) -> dict[str, int]:
    """The integer fields of the head; empty if the server cannot be reached."""
    try:
        return {name: int(value) for name, value in hash_of(redis, keys.head).items() if value.isdigit()}
    except BroodmindError:
        return {}
