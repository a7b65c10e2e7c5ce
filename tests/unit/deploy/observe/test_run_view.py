"""A run as it is shown, from the raw replies of a server."""

from __future__ import annotations

import pytest

from broodmind.common.errors import RedisUnreachable
from broodmind.common.server.keys import GROUP, Keys
from broodmind.common.server.streams import NotNow, ReplyError
from broodmind.deploy.observe.run_view import HEARTBEAT_BYTES_MAX, HEARTBEAT_FIELDS_MAX, look

KEYS = Keys("run")


class Server:
    """One actor's replies: the length of its stream, its groups; the size of its heartbeat, and what it holds."""

    def __init__(self, *replies, fields=1, size=100, heartbeat=(b"state", b"playing")):
        self.actor = [*replies, fields, size] if replies else []
        self.heartbeat, self.was_read = heartbeat, False

    def pipeline(self, _commands):
        return [[b"version", b"7"], [b"steps", b"50"], b"3-aa", [b"a"] if self.actor else []]

    def replies(self, commands):
        if commands and commands[0][0] == "HGETALL":
            self.was_read = True
            return [list(self.heartbeat)]
        return list(self.actor) if commands else []


def group(name, lag, pending):
    return [b"name", name.encode(), b"consumers", 1, b"pending", pending, b"lag", lag]


def test_the_group_of_the_learner_says_what_is_read_and_what_is_not():
    view = look(Server(5, [group("somebody's", 9, 9), group(GROUP, 2, 3)]), KEYS)
    assert (view.head, view.stats, view.lease) == ({"version": "7"}, {"steps": "50"}, "3-aa")
    (actor,) = view.actors
    assert (actor.name, actor.backlog, actor.lag, actor.pending) == ("a", 5, 2, 3)
    assert actor.heartbeat == {"state": "playing"}


@pytest.mark.parametrize("groups", [[], [group("somebody's", 9, 9)], ReplyError("ERR no such key")])
def test_without_that_group_nothing_is_known_of_what_is_read(groups):
    (actor,) = look(Server(5, groups, fields=0, size=None), KEYS).actors
    assert (actor.backlog, actor.lag, actor.pending, actor.heartbeat) == (5, None, 0, {})


def test_a_run_without_actors_is_shown_too():
    view = look(Server(), KEYS)
    assert (view.actors, view.lag, view.backlog) == ([], 0, 0)


def test_a_server_that_cannot_answer_now_is_an_error_and_no_actor_without_a_stream():
    with pytest.raises(RedisUnreachable, match="BUSY"):
        look(Server(5, NotNow("BUSY Redis is busy running a script.")), KEYS)


@pytest.mark.parametrize(
    ("fields", "size"), [(HEARTBEAT_FIELDS_MAX + 1, 100), (1, HEARTBEAT_BYTES_MAX + 1), (1 << 20, 200 << 20)]
)
def test_a_heartbeat_that_is_too_large_is_not_read_and_says_so(fields, size):
    server = Server(5, [], fields=fields, size=size)
    (actor,) = look(server, KEYS).actors
    assert actor.heartbeat == {"state": f"not shown: a heartbeat of {fields} fields, {size} bytes"}
    assert not server.was_read


def test_a_heartbeat_at_the_limit_is_read():
    (actor,) = look(Server(5, [], fields=HEARTBEAT_FIELDS_MAX, size=HEARTBEAT_BYTES_MAX), KEYS).actors
    assert actor.heartbeat == {"state": "playing"}


def test_keys_of_another_type_and_names_that_are_no_text_are_shown_as_far_as_can_be():
    wrong = ReplyError("WRONGTYPE Operation against a key holding the wrong kind of value")
    (actor,) = look(Server(wrong, wrong, fields=wrong, size=90), KEYS).actors
    assert (actor.backlog, actor.heartbeat) == (0, {"state": "no heartbeat under its key"})
    (actor,) = look(Server(5, [], heartbeat=(b"\xff", b"\xfe")), KEYS).actors
    assert actor.heartbeat == {"\ufffd": "\ufffd"}


@pytest.mark.parametrize(("lease", "shown"), [(b"3-aa", "48000"), (None, "0")], ids=["learner", "none"])
def test_without_a_learner_the_rate_of_training_is_nothing(lease, shown):
    """A learner that was killed has left the one that it had."""
    server = Server()
    server.pipeline = lambda _: [[b"version", b"7"], [b"steps_per_second", b"48000"], lease, []]
    assert look(server, KEYS).stats == {"steps_per_second": shown}
