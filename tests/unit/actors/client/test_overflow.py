"""Overflow: who is ahead of the learner gives up games before their first step, so that no kind of game is favoured."""

from __future__ import annotations

import json
import threading
from collections import deque

import numpy as np
import pytest

from broodmind.actors.client.agent import Agent
from broodmind.actors.client.overflow import NOTHING, REASON, Unsent, hint, is_ahead
from broodmind.actors.inference.policy import Policy
from broodmind.actors.transport.delivery import Delivery
from broodmind.actors.transport.entry import Answer
from broodmind.actors.transport.send_queue import Limits
from broodmind.common.actions import Discrete
from broodmind.common.policy.network import initial_params
from broodmind.common.spec import GameSpec, NetworkSpec, RolloutSpec, RunSpec
from broodmind.common.wire.demand import Demand
from broodmind.common.wire.weights import Pointer
from broodmind.learner.config import IntakeConfig
from broodmind.learner.ingest.batcher import Batcher
from broodmind.learner.ledger.head import Standing
from broodmind.learner.ledger.stream_entry import Entry

SPEC = RunSpec(GameSpec("toy", (1,), Discrete(2)), NetworkSpec(hidden=(4,)), RolloutSpec(fragment_length=8))
POLICY = Policy(Pointer(1, 1, "c", "d", 1), initial_params(SPEC.network, SPEC.game, np.random.default_rng(0)), SPEC)
STEPS = Demand(1, steps=100, games=0, payload_bytes=1000, batch_steps=8, batch_games=0)


@pytest.mark.parametrize(
    ("unsent", "demand", "ahead"),
    [
        (Unsent(1, 24, 10), STEPS, False),
        (Unsent(1, 25, 10), STEPS, True),
        (Unsent(9, 10, 1000), STEPS, True),
        (Unsent(99, 900, 10), None, False),  # nobody has said what the learner takes
        (Unsent(0, 0, 0), Demand(1, 1, 0, 0, 1, 0), False),  # what is unsent is sent first, however small the credit
        (Unsent(1, 900, 10), Demand(1, 0, 8, 1000, 0, 4), False),
        (Unsent(2, 4, 10), Demand(1, 0, 8, 1000, 0, 4), True),
        (Unsent(1, 900, 10), Demand(1, 100, 8, 1000, 50, 4), False),  # both are to be reached
    ],
)
def test_who_has_a_quarter_of_its_credit_unsent_is_ahead(unsent, demand, ahead):
    assert is_ahead(unsent, NOTHING, demand) == ahead


@pytest.mark.parametrize(("steps", "ahead"), [(49, False), (50, True)])
def test_who_has_half_of_its_credit_in_no_entry_yet_is_ahead(steps, ahead):
    assert is_ahead(NOTHING, Unsent(1, steps, 10), STEPS) == ahead
    assert not is_ahead(NOTHING, Unsent(1, steps, 10), None)


def test_who_gives_up_much_is_told_what_to_change():
    assert hint(4, 96) == ""
    assert "12% of the games" in hint(12, 88)
    assert "--batch-steps" in hint(12, 88)


class Sender:
    """Takes the place of the agent's sender thread: the test says what it knows, and sends."""

    policy, spec, problem, evaluation, behind = POLICY, SPEC, "", None, True

    def __init__(self, demand=STEPS):
        self.state, self.demand = "connected", demand

    def start(self):
        pass

    def close(self, _timeout_s):
        pass


class Connection:
    """An agent asks it for nothing but its name."""

    actor = "a"


class NotedDelivery(Delivery):
    """Lets the test wait for what the encoder thread puts in."""

    def __init__(self, limits=None):
        super().__init__(limits)
        self.arrivals = threading.Semaphore(0)

    def put(self, header, payload):
        super().put(header, payload)
        self.arrivals.release()


def an_agent(sender, limits=None, records=None):
    """Each game is an entry of its own, as an eighth of the learner's batch is a step."""
    delivery = NotedDelivery(limits)
    agent = Agent(Connection(), delivery, None, None, None, records, 1, sender)
    delivery.begin(7)
    agent.start()
    return agent, delivery


def play(agent, delivery, steps=4, outcome="win"):
    """One game, up to its entry; returns the episode."""
    episode = agent.begin({})
    recorded = episode.recorded
    for _ in range(steps):
        episode.act([0.5])
    episode.end(outcome)
    agent.flush(0)  # so that the encoder thread waits for nothing else
    if recorded:
        assert delivery.arrivals.acquire(timeout=60)
    return episode


def send(delivery, most):
    """Send the oldest entries, which are acknowledged; returns them."""
    delivery.number(most)
    return delivery.answered([Answer.TAKEN for _ in delivery.start_sending()], 0.0)


def test_a_game_that_is_given_up_is_played_with_the_policy_and_not_recorded(tmp_path):
    agent, delivery = an_agent(Sender(Demand(1, 16, 0, 10**6, 8, 0)), records=tmp_path / "records")
    first, second = play(agent, delivery), play(agent, delivery, outcome="loss")
    assert (first.recorded, second.recorded) == (True, False)
    assert second.version == 1
    assert agent.flush(0) is False  # the first waits to be sent
    (entry,) = send(delivery, 1)
    third = play(agent, delivery)
    assert third.recorded
    (later,) = send(delivery, 1)
    # It has no number and leaves no gap, and each entry behind it tells that it was.
    assert [(each.entry_id, each.overflow) for each in (entry, later)] == [((7, 1), 1), ((7, 2), 1)]
    agent.close()
    status = agent.status
    assert (status.wins, status.losses, status.untrained, status.aborted) == (2, 1, 0, 0)
    assert (status.sent, status.overflow, status.lost) == (2, 1, 0)
    assert "33% of the games" in status.hint
    records = [json.loads(line) for line in (tmp_path / "records").read_text().splitlines()]
    assert [(record["outcome"], record["trained_on"]) for record in records] == [
        ("win", True),
        ("loss", False),
        ("win", True),
    ]
    assert records[1]["reason"] == REASON


def test_a_game_that_has_begun_is_recorded_to_its_end_whatever_comes():
    agent, delivery = an_agent(Sender(Demand(1, 16, 0, 10**6, 8, 0)))
    long_game = agent.begin({})
    play(agent, delivery)
    assert not play(agent, delivery).recorded
    long_game.act([0.5])
    long_game.end("win")
    assert delivery.arrivals.acquire(timeout=60)
    assert (delivery.queued, delivery.overflow) == (2, 1)
    agent.close(0)


@pytest.mark.parametrize("state", ["unreachable", "full", "connecting", "denied"])
def test_while_the_server_is_away_no_game_is_given_up_but_the_oldest_are_lost_beyond_the_limits(state):
    sender = Sender(Demand(1, 16, 0, 10**6, 8, 0))
    agent, delivery = an_agent(sender, Limits(queue_games=5))
    sender.state = state
    assert all(play(agent, delivery).recorded for _ in range(9))
    status = agent.status
    assert (status.queued, status.lost, status.overflow) == (5, 4, 0)
    sender.state = "connected"
    assert not play(agent, delivery).recorded
    assert [each.entry_id for each in send(delivery, None)] == [(7, n) for n in range(5, 10)]  # with a gap of four
    agent.close(0)


def test_games_that_wait_for_an_answer_of_the_server_are_not_given_up():
    sender = Sender(Demand(1, 16, 0, 10**6, 8, 0))
    sender.behind = False  # the last exchange left nothing, and the next one takes long
    agent, delivery = an_agent(sender)
    assert all(play(agent, delivery).recorded for _ in range(9))
    sender.behind = True
    assert not play(agent, delivery).recorded
    agent.close(0)


# How a game goes, and whether it is given up.

GAMES, AT_ONCE = 10_000, 6
STEPS_AND_RETURN = ((2, 1.0), (9, 2.0))  # the long games are the good ones


class Stream:
    """A learner that takes entries at a rate of its own, and what it makes of them."""

    def __init__(self, rate):
        self.batcher = Batcher(IntakeConfig(batch_steps=1), {})
        self.returns, self._rate, self._budget = [], rate, 0.0
        self._entries, self.steps = deque(), 0

    def extend(self, entries):
        self._entries.extend(entries)
        self.steps += sum(entry.steps for entry in entries)

    def tick(self):
        """So many steps more may be taken."""
        self._budget = min(self._budget + self._rate, 20)
        while self._entries and self._entries[0].steps <= self._budget:
            entry = self._entries.popleft()
            self.steps -= entry.steps
            self._budget -= entry.steps
            header = entry.header.stamped(0, entry.overflow)
            self.returns += header.episodes.returns
            self.batcher.add(Entry("a", entry.entry_id, header, None, "stale"), Standing(), 0)


def simulate(rate, credit):
    """All games, some side by side, while a learner takes `rate` steps for each step of all of them."""
    agent, delivery = an_agent(Sender(Demand(1, credit, 0, 1 << 20, 8, 0)))
    rng = np.random.default_rng(3)
    upcoming = [STEPS_AND_RETURN[kind] for kind in rng.integers(2, size=GAMES)]
    truth = np.mean([outcome for _, outcome in upcoming])
    stream, playing = Stream(rate), {}  # episode to the steps left, and the return
    while upcoming or playing:
        while upcoming and len(playing) < AT_ONCE:
            playing[agent.begin({})] = upcoming.pop()
        for episode, (left, outcome) in list(playing.items()):
            episode.act([0.5])
            playing[episode] = (left - 1, outcome)
            if left == 1:
                del playing[episode]
                recorded = episode.recorded
                episode.end("win", reward=outcome)
                agent.flush(0)  # so that the encoder thread waits for nothing else
                assert not recorded or delivery.arrivals.acquire(timeout=60)
        stream.tick()
        while stream.steps < credit and (sent := send(delivery, 1)):
            stream.extend(sent)
    agent.close(0)
    return stream, agent.status, truth


def test_a_slow_learner_sees_long_and_short_games_as_often_as_they_are_played():
    stream, status, truth = simulate(rate=2.0, credit=80)
    assert GAMES / 2 < status.overflow < GAMES - 2000
    assert (status.queued + status.sent, status.lost) == (GAMES - status.overflow, 0)
    assert np.mean(stream.returns) == pytest.approx(truth, rel=0.02)
    # The learner counts the games given up as the client does, up to those since the last entry.
    assert 0 <= status.overflow - stream.batcher.overflow < GAMES / 100
    assert stream.batcher.lost == 0
