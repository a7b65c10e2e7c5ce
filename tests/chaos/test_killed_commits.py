"""A learner killed at each step of its commit leaves the run as it was, or as it was to become: nothing in between."""

from __future__ import annotations

import signal

import pytest
from support.books import audit, backlog, check_learner_state
from support.learners import counters, head_of, learning
from support.mortal import STEPS, learn_until_death
from support.runs import NEVER, SPEC, everything, fragment, joined_connection
from support.servers import wait_until

from broodmind.common.server.keys import Keys
from broodmind.learner.ledger.ledger_entry import parse_ledger_entry
from broodmind.learner.persistence.checkpoints import Checkpoints


def state(redis, keys):
    """All that a commit changes; of the streams what is in them, as reading them changes who has read it.

    What the statistics say of streams that nobody reads, and of a learner that goes on, is written between commits.
    """
    found = everything(redis, keys)
    own = (keys.heartbeat("a"), keys.incarnation("a"), keys.trajectories("a"))
    passing = (
        keys.lease,
        keys.fence,
        keys.demand,
        keys.roster,
        keys.stats,
        *own,
    )  # the roster is written between commits
    kept = {key: value for key, value in found.items() if key.decode() not in passing and b":staged:" not in key}
    fields = redis.call("HGETALL", keys.stats)
    between = (b"updated_ms", b"resumed_steps", b"resumed_version", b"steps_per_second")
    every = zip(fields[::2], fields[1::2], strict=True)
    stats = {name: value for name, value in every if b"unread" not in name and name not in between}
    return kept | {b"stats": stats, b"stream": redis.call("XRANGE", keys.trajectories("a"), "-", "+")}


def commits_of(redis, keys):
    return {parse_ledger_entry(*raw).commit for raw in redis.call("XRANGE", keys.ledger, "-", "+")}


@pytest.mark.parametrize("step", STEPS)
def test_a_commit_whose_learner_is_killed_is_complete_or_absent(shared_server, redis, run, times, tmp_path, step):
    keys, expected = Keys(run), STEPS[step][0]
    checkpoints, journals = Checkpoints(tmp_path / "checkpoints"), tmp_path / "journals"
    outcomes, pushed = [], 0
    with learning(shared_server.url, run):
        head_of(redis, keys, version=1)
    connection = joined_connection(shared_server.url, run, "a", journals=journals)
    for _ in range(times(50)):
        counted = counters(redis, keys)
        connection.push([fragment(counted["version"], seed=pushed + n) for n in range(2)], NEVER)
        pushed += 2
        before = state(redis, keys)
        assert learn_until_death(shared_server.url, run, tmp_path / "checkpoints", step) == -signal.SIGKILL
        redis.call("DEL", keys.lease)  # as time does
        if expected:  # the server has yet to read what the dead have sent
            wait_until(lambda floor=counted: counters(redis, keys)["version"] > floor["version"])
        went_through = state(redis, keys) != before
        if went_through:
            now = counters(redis, keys)
            change = {name: now[name] - counted[name] for name in ("version", "updates", "accepted", "stale")}
            assert change == {"version": 1, "updates": 1, "accepted": 2, "stale": 0}
            assert backlog(redis, keys) == 0
        audit(shared_server.url, run, journals)
        check_learner_state(redis, keys)
        assert expected in {None, went_through}
        outcomes.append(went_through)
        newest = checkpoints.newest(SPEC)
        assert newest is None or newest.head.commit in commits_of(redis, keys)
        assert len(list((tmp_path / "checkpoints").iterdir())) <= 5  # three, one more, and one half written
        if backlog(redis, keys):  # each time: what four learners died with would rightly be set aside
            with learning(shared_server.url, run):
                wait_until(lambda: backlog(redis, keys) == 0)
    connection.leave()
    print(f"{step}: {sum(outcomes)} of {len(outcomes)} went through")
    assert audit(shared_server.url, run, journals)["accepted"] == pushed
