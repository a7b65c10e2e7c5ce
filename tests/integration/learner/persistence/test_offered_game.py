"""The game of a run for which none was given, as clients offer it on a real server."""

from __future__ import annotations

import pytest
from support.runs import NEVER, SPEC
from support.servers import PATIENCE_S, wait_until

from broodmind import connect
from broodmind.common.actions import Discrete
from broodmind.common.game_offer import OFFER_BYTES, game_to_json
from broodmind.common.process.shutdown import Stop
from broodmind.common.server.keys import Keys
from broodmind.common.spec import GameSpec
from broodmind.learner.ledger.counters import Counters
from broodmind.learner.ledger.head import Head
from broodmind.learner.persistence.checkpoints import Checkpoints
from broodmind.learner.persistence.offered_game import offered_game
from broodmind.learner.persistence.run_snapshot import RunSnapshot

GAME = GameSpec("corridor", (2,), Discrete(3), wins=True)


def test_the_game_is_the_one_that_a_client_connects_with(shared_server, redis, run):
    with connect(shared_server.url, run, game=GAME, name="bot") as agent:
        wait_until(lambda: redis.call("EXISTS", Keys(run).offer("bot")))
        assert offered_game(shared_server.url, run, NEVER) == GAME
        assert agent.status.connection == "waiting for a learner"
    assert 0 < redis.call("PTTL", Keys(run).offer("bot")) <= 10_000


def test_a_client_that_knows_no_game_offers_none(shared_server, redis, run):
    with connect(shared_server.url, run, name="bot") as agent:
        wait_until(lambda: agent.status.connection == "waiting for a learner", timeout_s=PATIENCE_S)
        assert not redis.call("EXISTS", Keys(run).offer("bot"))


@pytest.mark.parametrize(
    "hostile", [b"not json", b'{"observation_shape": [99999999999], "actions": 2}', b"x" * (OFFER_BYTES + 100)]
)
def test_an_offer_that_cannot_be_used_is_passed_over(shared_server, redis, run, hostile, caplog):
    keys, looks = Keys(run), []
    redis.call("SET", keys.offer("a"), hostile)
    redis.call("HSET", keys.offer("b"), "not", "a string")
    redis.call("SET", keys.offer("bad name!"), game_to_json(SPEC.game))

    def sleep(_seconds):
        looks.append(None)
        if len(looks) == 2:
            redis.call("SET", keys.offer("c"), game_to_json(GAME))

    assert offered_game(shared_server.url, run, NEVER, sleep=sleep) == GAME
    assert sum("not usable" in record.message for record in caplog.records) == 1


def test_a_stop_ends_the_wait(shared_server, run):
    stop = Stop()
    assert offered_game(shared_server.url, run, stop, sleep=lambda _: stop.request()) is None


def test_a_run_that_has_a_game_keeps_it(shared_server, redis, run, tmp_path):
    keys = Keys(run)
    redis.call("SET", keys.offer("a"), game_to_json(GAME))
    Checkpoints(tmp_path).save(RunSnapshot(Head(1, 1, "c"), Counters(), b"", b""), SPEC)
    assert offered_game(shared_server.url, run, NEVER, tmp_path) == SPEC.game  # the server was emptied
    other = GameSpec("other", (7,), Discrete(2))
    redis.call("HSET", keys.spec, "json", type(SPEC)(other).to_json())
    assert offered_game(shared_server.url, run, NEVER, tmp_path) == other
