"""Self-play between real processes: what a heartbeat says of it, and that a seed still means one run."""

from __future__ import annotations

import json
import re
from contextlib import closing

from support.marks import one_kind
from support.runs import broodmind, hash_of, lock_step_run, running
from support.servers import PATIENCE_S, wait_until

from broodmind.common.server.keys import Keys


def options(server, run):
    return ("--redis", server.url, "--run", run, "--game", "ConnectFour")


@one_kind
def test_status_shows_how_each_actors_version_is_rated(shared_server, redis, run):
    """Within some versions it beats the random player, whose rating is 0."""
    keys, common = Keys(run), options(shared_server, run)
    with running("learner", *common), running("actors", *common, "--name", "a"):
        wait_until(lambda: int(hash_of(redis, keys.heartbeat("a-000")).get("elo", 0)) > 50)
        reading = common[:4]
        printed, _ = broodmind("status", *reading, "--json").communicate(timeout=PATIENCE_S)
        text, _ = broodmind("status", *reading).communicate(timeout=PATIENCE_S)
    (actor,) = json.loads(printed)["actors"]
    int(actor["heartbeat"]["elo"])  # of any sign: it may have lost games since it was above 50
    assert 3 <= int(actor["heartbeat"]["opponents"]) <= 18
    assert 0 <= float(actor["heartbeat"]["hardest_score"]) <= 1
    assert re.search(r"a-000 .*  elo -?\d+$", text, re.MULTILINE)


def test_self_play_in_lock_step_is_reproducible_bit_for_bit(each_server, run):
    """The pool's drawing included; on a server of another kind, too."""

    def play(server, name, seed):
        keys, batch = Keys(name), ("--fragment-length", "16", "--batch-steps", "128")
        with closing(server.connect()) as redis:
            lock_step_run(server, name, *batch, "--seed", seed, "--max-steps", "6000", game="ConnectFour")
            return redis.call("GET", keys.weights(1, int(hash_of(redis, keys.head)["version"])))

    one, another = each_server
    first, again = play(one, f"{run}-1", "5"), play(another, f"{run}-2", "5")
    other = play(one, f"{run}-3", "6")
    assert first == again
    assert first != other
