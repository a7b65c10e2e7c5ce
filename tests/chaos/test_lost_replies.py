"""Commands and replies lost on the way: what was done and not confirmed is neither done twice nor given up."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest
from support.books import audit, backlog
from support.learners import CONFIG, head_of, learning
from support.players import playing
from support.proxy import Proxy
from support.servers import PATIENCE_S, wait_until

from broodmind.common.server.keys import Keys
from broodmind.learner.commit import commit
from broodmind.learner.config import Intervals

RECONNECT_S = (0.001, 0.01)  # a thousand breaks would be a thousand pauses
LEARNER = replace(CONFIG, intervals=Intervals(reconnect_s=RECONNECT_S))
FAULTS = ("lose the command", "lose the reply")


def pushed(command):
    """What is pushed, or None; a resend is of all the last seconds, so faults must not meet it at every entry."""
    return tuple(command[1:3]) if command[0] == b"XADD" else None


def committed(command):
    """What is committed, or None; also by the call that teaches the script to the server."""
    scripts = {commit.COMMIT_SCRIPT.sha.encode(), commit.COMMIT_SCRIPT.source.encode()}
    return command[-1] if command[0].startswith(b"EVAL") and command[1] in scripts else None


@pytest.mark.parametrize("what", [pushed, committed])
def test_commands_whose_request_or_reply_is_lost_are_counted_once(
    shared_server, redis, run, times, chaos, what, tmp_path
):
    keys, wanted, attempts = Keys(run), times(1000), Counter()

    def rule(command):
        if (name := what(command)) is None:
            return None
        attempts[name] += 1
        return chaos.choice(FAULTS) if attempts[name] <= 2 and chaos.random() < 0.5 else None

    with Proxy(shared_server.port) as proxy, learning(proxy.url, run, LEARNER):
        head_of(redis, keys, version=1)  # a learner that fails at its first attempt ends, and says why
        proxy.rule = rule
        with playing(proxy.url, run, "a", "b", journals=tmp_path, reconnect_s=RECONNECT_S) as players:
            wait_until(lambda: proxy.faults >= wanted, lambda: f"{proxy.faults} faults", timeout_s=PATIENCE_S + wanted)
            proxy.rule = None
        wait_until(lambda: backlog(redis, keys) == 0)
    metrics = audit(shared_server.url, run, tmp_path)
    print(f"{proxy.faults} faults, {metrics}")
    assert metrics["accepted"] + metrics["stale"] == sum(player.pushed for player in players)
    assert [metrics[name] for name in ("lost", "duplicate", "wrong_epoch", "epochs")] == [0, 0, 0, 1]
