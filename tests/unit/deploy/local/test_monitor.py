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


class Answering:
    """A server with a run's statistics."""

    def __init__(self, **stats):
        fields = {"run": "zerg", "version": 4, "updated_ms": now_ms() + 1000, **stats}
        self.stats = [str(part).encode() for field in fields.items() for part in field]

    def pipeline(self, _commands):
        return [[], self.stats, b"3-aa", []]

    def replies(self, _commands):
        return []


@pytest.mark.parametrize(
    ("stats", "line"),
    [
        ({"resumed_steps": 0, "resumed_version": 0}, "run zerg created"),
        ({"resumed_steps": 0, "resumed_version": 1}, "run zerg resumed at version 4, before anything was trained"),
        ({"resumed_steps": 4096, "resumed_version": 3}, "run zerg resumed after 4,096 steps, at version 4"),
        ({"resumed_steps": 0}, "run zerg created"),  # of a learner of an earlier version
    ],
    ids=["new", "untrained", "trained", "earlier"],
)
def test_a_run_that_goes_on_is_not_told_as_a_new_one(stats, line, capsys):
    supervisor = SimpleNamespace(slots=[SimpleNamespace(exit_code=None)], poll=lambda: None)
    run, record = LocalRun("zerg", "game", Goal()), SimpleNamespace(look=lambda *_: None)
    follow(Answering(**stats), Keys("zerg"), supervisor, None, Stop(), now_ms(), run, record, lambda: False)
    assert line in capsys.readouterr().err.splitlines()
