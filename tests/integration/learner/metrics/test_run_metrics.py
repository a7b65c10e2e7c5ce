"""The games that end first are the short ones: a learner on a real server does not take them for all."""

from __future__ import annotations

from dataclasses import replace

import pytest
from support.learners import CONFIG, ONE_PIECE, head_of, learning
from support.runs import NEVER, fragment, hash_of, joined_connection
from support.servers import wait_until

from broodmind.common.process.clock import now_ms
from broodmind.common.server.keys import Keys
from broodmind.common.wire.entry_header import Episodes
from broodmind.learner.config import Goal, IntakeConfig, Intervals
from broodmind.learner.metrics.run_metrics import GAMES

ALL_GAUGES = replace(CONFIG, intervals=Intervals(gauges_s=0))  # in every commit


def piece(version, value, began_ms, open_since_ms):
    """A fragment in which one game ended."""
    made = fragment(version)
    episodes = Episodes((value,), (4,), (began_ms,))
    return replace(made, trajectory=replace(made.trajectory, episodes=episodes), open_since_ms=open_since_ms)


@pytest.mark.parametrize("early", [1.0, -99.0])
def test_a_run_is_solved_by_the_first_games_to_begin_and_not_by_the_first_to_end(shared_server, redis, run, early):
    """A hundred good games have ended. One that began in the middle of them is still played, and ends well or badly."""
    keys, began_ms = Keys(run), now_ms() - 60_000
    config = replace(
        ALL_GAUGES, goal=Goal(until_return=0.8), intake=IntakeConfig(batch_steps=10 * ONE_PIECE, max_staleness=99)
    )
    with learning(shared_server.url, run, config) as thread:
        wait_until(lambda: redis.call("EXISTS", keys.latest))
        connection = joined_connection(shared_server.url, run, "a")
        middle_ms = began_ms + GAMES // 2
        good = [piece(1, 1.0, began_ms + number, middle_ms) for number in range(GAMES + 1) if number != GAMES // 2]
        connection.push(good, NEVER)
        head_of(redis, keys, accepted=GAMES)
        stats = hash_of(redis, keys.stats)
        assert (thread.is_alive(), "solved_ms" in stats) == (True, False)
        rest = [piece(1, early, middle_ms, None), *(piece(1, 1.0, began_ms + GAMES, None) for _ in range(9))]
        connection.push(rest, NEVER)
        head_of(redis, keys, accepted=GAMES + 10)
        if early > 0:
            wait_until(lambda: "solved_ms" in hash_of(redis, keys.stats))
        else:
            assert "solved_ms" not in hash_of(redis, keys.stats)
        connection.leave()


def test_games_of_rejected_entries_count_in_the_figures(shared_server, redis, run):
    keys = Keys(run)
    config = replace(ALL_GAUGES, intake=IntakeConfig(batch_steps=ONE_PIECE, max_staleness=0))
    with learning(shared_server.url, run, config):
        wait_until(lambda: redis.call("EXISTS", keys.latest))
        connection = joined_connection(shared_server.url, run, "a")
        connection.push([piece(1, 1.0, 10**12, None)], NEVER)
        head_of(redis, keys, version=2)
        connection.push([piece(1, 9.0, 10**12, None), piece(1, 5.0, 10**12, None)], NEVER)
        head_of(redis, keys, accepted=1, stale=2)
        connection.push([piece(2, 3.0, 10**12, None)], NEVER)
        head_of(redis, keys, accepted=2)
        stats = hash_of(redis, keys.stats)
        connection.leave()
    assert stats["figure_games"] == "4"
    assert float(stats["return_mean"]) == (1 + 9 + 5 + 3) / 4
