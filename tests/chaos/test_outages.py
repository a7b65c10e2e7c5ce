"""A client's link is down while another actor trains on: each spooled game is trained on or counted, by the limits.

At full scale the outage lasts 60 s.
"""

from __future__ import annotations

import time
from dataclasses import replace

import pytest
from support.books import audit
from support.learners import CONFIG, counters, learning
from support.link import Link
from support.players import playing
from support.runs import SPEC
from support.servers import PATIENCE_S, wait_until

from broodmind import connect
from broodmind.common.server.keys import Keys
from broodmind.deploy.audit.invariants import accepted_ids
from broodmind.deploy.audit.snapshot import take_snapshot
from broodmind.deploy.observe.run_view import look
from broodmind.deploy.observe.status import describe

GAMES = 24  # of the client during the outage
VERSIONS = 48  # that pass during it, at least
BATCH = 256  # steps: so few games as wait before the outage is noticed are not given up
ANY = 10**6


def play(agent):
    """Play a game that is an entry of its own. Returns the version that played it, and when it ended in ms."""
    before = agent.status.queued + agent.status.sent
    with agent.episode() as game:
        for step in range(SPEC.rollout.fragment_length):
            game.act([0, step, 0])
            game.reward(1)
        ended_ms = time.time_ns() // 1_000_000
        game.end("truncated", observation=[0, 0, 0])
    wait_until(lambda: agent.status.queued + agent.status.sent == before + 1, lambda: agent.status)
    return game.version, ended_ms


def fates(redis, keys, actor):
    """What became of the actor's entries, in order: the reason or None, the head's version, and two times in ms.

    It was decided between the two. A batch is collected while the commit before it is under way, and a commit is under
    way once the one before it has been written.

    An actor that was away for so long that it was struck off sends its last entries before that again: these are
    duplicates.
    """
    found, version, before_ms, last_ms = {}, 0, 0, 0
    for entry in take_snapshot(redis, keys).ledger:
        rejected = {
            number: reason
            for reason, actors in entry.rejected.items()
            for ids in actors.get(actor, [])
            for number in range(ids.first, ids.last + 1)
            if not (reason == "duplicate" and number in found)
        }
        accepted = {number for name, (_, number) in accepted_ids(entry) if name == actor}
        assert not found.keys() & (rejected.keys() | accepted), "consumed twice"
        times_ms = (before_ms, entry.written_ms)
        found |= {number: (rejected.get(number), version, *times_ms) for number in (*rejected, *accepted)}
        version, before_ms, last_ms = entry.version, last_ms, entry.written_ms
    return [found[number] for number in sorted(found)]


def largest_staleness(redis, keys):
    """Of any step that was trained on, as the updates' figures have it."""
    entries = [fields for _, fields in redis.call("XRANGE", keys.versions, "-", "+")]
    found = [dict(zip(fields[::2], fields[1::2], strict=True)).get(b"batch_staleness_max", 0) for fields in entries]
    return max(map(float, found))


@pytest.mark.parametrize(
    ("shared_server", "limit"), [("redis", "versions"), ("valkey", "seconds")], indirect=["shared_server"]
)
def test_games_of_an_outage_are_trained_on_within_the_limits_and_the_others_counted_by_reason(
    shared_server, redis, run, tmp_path, times, limit
):
    keys, lasts_s = Keys(run), times(60)
    most, oldest_s = (VERSIONS // 2, 1e12) if limit == "versions" else (ANY, lasts_s / 2)
    intake = replace(CONFIG.intake, batch_steps=BATCH, max_staleness=most, max_age=oldest_s)

    def version():
        return counters(redis, keys).get("version", 0)

    with (
        Link(shared_server.port) as link,
        learning(shared_server.url, run, replace(CONFIG, intake=intake)),
        # With a timeout of a second the client notices a short outage too.
        connect(f"{link.url}?socket_timeout=1", run, name="away", spool_dir=tmp_path, journal=tmp_path) as agent,
        playing(shared_server.url, run, "steady"),
    ):
        assert agent.wait_until_ready(PATIENCE_S), agent.status
        played = [play(agent)]
        assert agent.flush(PATIENCE_S)
        link.down = True
        began_s, began = time.monotonic(), version()
        for number in range(1, GAMES + 1):
            versions, seconds = number * VERSIONS / GAMES, number * lasts_s / GAMES
            wait_until(lambda n=versions, s=seconds: version() >= began + n and time.monotonic() >= began_s + s)
            played.append(play(agent))
        wait_until(lambda: agent.status.connection == "unreachable", lambda: agent.status)
        status = agent.status
        assert (status.spooled, status.queued, status.overflow) == (GAMES, GAMES, 0)
        assert "expected a running server" in status.problem
        link.down = False
        assert agent.flush(PATIENCE_S), agent.status
        assert (agent.status.sent, agent.status.spooled, agent.status.lost) == (GAMES + 1, 0, 0)
        found = wait_until(lambda: (fates(redis, keys, "away"))[GAMES:] and fates(redis, keys, "away"))
        shown = describe(run, look(redis, keys))

    assert len(found) == len(played) == GAMES + 1
    for (played_with, ended_ms), (reason, head, from_ms, to_ms) in zip(played, found, strict=True):
        if limit == "versions":
            assert reason == ("stale" if head - played_with > most else None)
        elif from_ms - ended_ms > 1000 * oldest_s:
            assert reason == "too_old"
        else:
            assert reason is None or to_ms - ended_ms > 1000 * oldest_s
    reasons = [each[0] for each in found]
    name = "stale" if limit == "versions" else "too_old"
    metrics = audit(shared_server.url, run, tmp_path)
    print(f"{reasons.count(None)} of {GAMES + 1} trained on, {metrics}")
    assert reasons.count(name) > 0
    if limit == "seconds":  # the others were trained on, and corrected for: by their versions they are far off-policy
        assert reasons.count(None) > 1
        assert largest_staleness(redis, keys) > VERSIONS / 2
    assert f"{name} {metrics[name]}" in shown
    assert (metrics["lost"], metrics["wrong_epoch"]) == (0, 0)
