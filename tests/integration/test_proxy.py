"""The proxy of the tests does what a test of faults takes for granted."""

from __future__ import annotations

import pytest
from support.proxy import Proxy

from broodmind.common.errors import RedisUnreachable
from broodmind.common.server.streams import Server


def connect(proxy):
    return Server(proxy.url)


@pytest.mark.parametrize(("fault", "executed"), [("lose the command", 0), ("lose the reply", 1)])
def test_a_fault_meets_the_command_it_is_meant_for(shared_server, redis, run, fault, executed):
    with Proxy(shared_server.port, lambda command: fault if command[0] == b"RPUSH" else None) as proxy:
        through = connect(proxy)
        assert through.call("PING") == b"PONG"
        with pytest.raises(RedisUnreachable):
            through.pipeline([("RPUSH", run, "x" * 300_000), ("PING",)])  # more than one packet
        assert redis.call("LLEN", run) == executed
        assert through.call("PING") == b"PONG"  # over a new connection
        assert proxy.faults == 1
    redis.call("DEL", run)


def test_connections_can_be_cut_refused_and_sent_elsewhere(shared_server, redis):
    with Proxy(shared_server.port) as proxy, Proxy(0) as elsewhere:
        through = connect(proxy)
        assert through.call("PING") == b"PONG"
        proxy.cut()
        with pytest.raises(RedisUnreachable):
            through.call("PING")
        proxy.refusing = True
        with pytest.raises(RedisUnreachable):
            through.call("PING")
        proxy.refusing = False
        assert through.call("PING") == b"PONG"
        proxy.target = elsewhere.port  # where nobody answers
        proxy.cut()
        for _ in range(2):
            with pytest.raises(RedisUnreachable):
                through.call("PING")
