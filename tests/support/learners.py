"""Learners in threads of a test, and what a test waits for in the run they work on."""

from __future__ import annotations

import threading
from contextlib import contextmanager

from support.runs import SPEC, hash_of
from support.servers import PATIENCE_S, wait_until

from broodmind.common.errors import BroodmindError
from broodmind.common.process.shutdown import Stop
from broodmind.learner.config import IntakeConfig, LearnerConfig, LeaseConfig
from broodmind.learner.loop import learn

ONE_PIECE = SPEC.rollout.fragment_length * 2
# A lease that no busy machine loses; who kills a learner deletes its lease, as time would.
CONFIG = LearnerConfig(intake=IntakeConfig(batch_steps=2 * ONE_PIECE, max_age=1e12), lease=LeaseConfig(lease_ttl=60))


@contextmanager
def learning(url, run, config=CONFIG, spec=SPEC):
    """A learner that drains at the end of the block; what ended it otherwise is raised there."""
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
    """The head, once it has what is expected of it."""

    head: dict[str, str] = {}

    def look():
        nonlocal head
        head = hash_of(redis, keys.head)
        return all(int(head.get(name, -1)) == value for name, value in expected.items())

    wait_until(look, lambda: f"{expected} in {head}")
    return head


def counters(redis, keys) -> dict[str, int]:
    """The numbers of the head; none where no server answers."""
    try:
        return {name: int(value) for name, value in hash_of(redis, keys.head).items() if value.isdigit()}
    except BroodmindError:
        return {}
