"""A run as it is shown, from the raw replies of a server."""

from __future__ import annotations

import pytest

from broodmind.common.errors import RedisUnreachable
from broodmind.common.server.keys import GROUP, Keys
from broodmind.common.server.streams import NotNow, ReplyError
from broodmind.deploy.observe.run_view import look

KEYS = Keys("run")


class Server:
    """One actor's replies: the length of its stream, its groups, its heartbeat."""

    def __init__(self, *replies):
        self.actor = replies

    def pipeline(self, _commands):
        return [[b"version", b"7"], [b"steps", b"50"], b"3-aa", [b"a"] if self.actor else []]

    def replies(self, _commands):
        return list(self.actor)


def group(name, lag, pending):
    return [b"name", name.encode(), b"consumers", 1, b"pending", pending, b"lag", lag]


def test_the_group_of_the_learner_says_what_is_read_and_what_is_not():
    view = look(Server(5, [group("somebody's", 9, 9), group(GROUP, 2, 3)], [b"state", b"playing"]), KEYS)
    assert (view.head, view.stats, view.lease) == ({"version": "7"}, {"steps": "50"}, "3-aa")
    (actor,) = view.actors
    assert (actor.name, actor.backlog, actor.lag, actor.pending) == ("a", 5, 2, 3)
    assert actor.heartbeat == {"state": "playing"}


@pytest.mark.parametrize("groups", [[], [group("somebody's", 9, 9)], ReplyError("ERR no such key")])
def test_without_that_group_nothing_is_known_of_what_is_read(groups):
    (actor,) = look(Server(5, groups, []), KEYS).actors
    assert (actor.backlog, actor.lag, actor.pending, actor.heartbeat) == (5, None, 0, {})


def test_a_run_without_actors_is_shown_too():
    view = look(Server(), KEYS)
    assert (view.actors, view.lag, view.backlog) == ([], 0, 0)


def test_a_server_that_cannot_answer_now_is_an_error_and_no_actor_without_a_stream():
    with pytest.raises(RedisUnreachable, match="BUSY"):
        look(Server(5, NotNow("BUSY Redis is busy running a script."), []), KEYS)
