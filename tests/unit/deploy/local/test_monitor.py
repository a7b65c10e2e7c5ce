"""Following a local run whose server stops answering."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from broodmind.common.errors import ProcessFailed, RedisUnreachable
from broodmind.common.process.clock import now_ms
from broodmind.common.process.shutdown import Stop
from broodmind.common.server.keys import Keys
from broodmind.deploy.local.monitor import follow
from broodmind.deploy.observe.progress_figures import LocalRun
from broodmind.learner.config import Goal


class Gone:
    """A server that does not answer."""

    def pipeline(self, _commands):
        raise RedisUnreachable("redis at x: gone")


class Embedded:
    """The process of a server, which is seen to have ended only by those who wait for it."""

    def __init__(self, *, ended):
        self.ended, self.waited_s = ended, []

    def check(self, wait_s=0.0):
        self.waited_s.append(wait_s)
        if wait_s and self.ended:
            raise ProcessFailed("embedded server: ended with code 1")


def followed(embedded):
    supervisor = SimpleNamespace(slots=[SimpleNamespace(exit_code=None)], poll=lambda: None)
    run, record = LocalRun("run", "game", Goal()), SimpleNamespace(look=lambda *_: None)
    return follow(Gone(), Keys("run"), supervisor, embedded, Stop(), now_ms(), run, record)


def test_a_server_of_our_own_that_has_just_ended_is_the_reason_and_not_the_connection():
    with pytest.raises(ProcessFailed, match="embedded server: ended with code 1"):
        followed(Embedded(ended=True))


def test_one_that_runs_and_does_not_answer_is_a_lost_connection():
    embedded = Embedded(ended=False)
    with pytest.raises(RedisUnreachable, match="gone"):
        followed(embedded)
    assert embedded.waited_s[-1] > 0


def test_a_server_of_the_user_s_is_not_waited_for():
    with pytest.raises(RedisUnreachable, match="gone"):
        followed(None)
