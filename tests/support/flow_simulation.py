"""A learner and its actors as a simulation of events: who plays when, by the real credit and the real flow."""

from __future__ import annotations

import heapq
import itertools
import random
from dataclasses import dataclass, field
from types import SimpleNamespace

from broodmind.actors.fragment_parts import number_of_parts
from broodmind.actors.transport.credit import Amount, Credit, Unconsumed
from broodmind.learner.config import IntakeConfig
from broodmind.learner.flow.flow import Flow
from broodmind.learner.metrics.versions_passed import VersionsPassed

ROLLOUT = 32  # steps of a fragment
_POLL_S = (0.05, 0.4)  # as BlockingActorConnection waits


@dataclass
class Actor:
    name: str
    copies: int
    steps_per_second: float
    credit: Credit
    unconsumed: Unconsumed = field(default_factory=Unconsumed)
    stream: list[tuple[int, int]] = field(default_factory=list)  # steps and version of each entry
    state: str = "waiting"  # or "playing", or "gone"
    played_with: int = 0
    pause_s: float = _POLL_S[0]
    asks: int = 0  # of which only the newest one planned is carried out
    consumed: int = 0  # steps

    @property
    def fragment(self) -> int:
        return ROLLOUT * self.copies


class Simulation:
    """Time goes from event to event. Counted since `begin_to_count`: `batches`, the `staleness` of what was trained on,

    and how many steps were `stale`, that is, beyond the automatic limit.
    """

    def __init__(self, actors, update_s, *, batch_steps=2048, idle=0, hear_s=0.001, seed=0):
        """Prepare a run that begins now.

        Args:
            actors: pairs of copies and steps per second.
            update_s: how long one takes.
            batch_steps: the learner's.
            idle: how many are connected and never deliver.
            hear_s: after so long all that wait hear of a version.
            seed: of all that is random.
        """
        self._random = random.Random(seed)
        random.seed(seed)  # for the actors' turns
        self.now_s, self._events, self._order = 0.0, [], itertools.count()
        self.batch_steps, self._update_s, self._hear_s = batch_steps, update_s, hear_s
        self._passed = VersionsPassed()
        self._passed.published(1, 0)
        self.flow = Flow(IntakeConfig(batch_steps=batch_steps), clock=lambda: self.now_s)
        self.actors = [
            Actor(f"a{at}", copies, rate, Credit(2, clock=lambda: self.now_s))
            for at, (copies, rate) in enumerate(actors)
        ]
        self._names = {actor.name for actor in self.actors} | {f"idle{at}" for at in range(idle)}
        self._demand, self.version, self._training = None, 1, False
        self._queue, self._batch = [], []
        self._tick()
        for actor in self.actors:
            self._ask_after(0.2 * self._random.random(), actor)
        self.begin_to_count()

    def begin_to_count(self):
        self.staleness, self.batches, self.stale, self._counted_from_s = [], [], 0, self.now_s
        for actor in self.actors:
            actor.consumed = 0

    def run(self, seconds):
        until_s = self.now_s + seconds
        while self._events and self._events[0][0] <= until_s:
            self.now_s, _, what, arguments = heapq.heappop(self._events)
            what(*arguments)
        self.now_s = until_s
        return self

    def return_to_play(self):
        """Let those that are gone come back."""
        for actor in self.actors:
            if actor.state == "gone":
                actor.state = "waiting"
                self._ask_after(0.2 * self._random.random(), actor)

    @property
    def steps_per_second(self):
        return sum(self.batches) / (self.now_s - self._counted_from_s)

    @property
    def most_per_second(self):
        """What the slower of learner and actors together could do."""
        return min(sum(actor.steps_per_second for actor in self.actors), self.batch_steps / self._update_s)

    def staleness_at(self, part):
        return sorted(self.staleness)[int(part * (len(self.staleness) - 1))]

    @property
    def outstanding(self):
        return sum(steps for actor in self.actors for steps, _ in actor.stream)

    def _after(self, seconds, what, *arguments):
        heapq.heappush(self._events, (self.now_s + seconds, next(self._order), what, arguments))

    def _tick(self):
        waits = not (self._training or self._queue)
        self.flow.follow(self._names)
        self._demand = self.flow.revise(starving=waits) or self._demand
        self._after(0.05, self._tick)

    def _ask_after(self, seconds, actor):
        actor.asks += 1
        self._after(seconds, self._ask, actor, actor.asks)

    def _ask(self, actor, number=None):
        """What an actor does in a round trip while it does not play."""
        if actor.state != "waiting" or number not in {None, actor.asks}:
            return
        usual = Amount(actor.fragment)
        actor.credit.learn(self._demand, (1, self.version), usual)
        actor.unconsumed.observe(len(actor.stream))
        if actor.credit.allows(actor.unconsumed, usual):
            actor.state, actor.played_with, actor.pause_s = "playing", self.version, _POLL_S[0]
            self._after(actor.fragment / actor.steps_per_second * self._random.uniform(0.8, 1.25), self._push, actor)
        else:
            self._ask_after(actor.pause_s * self._random.uniform(0.75, 1.25), actor)
            actor.pause_s = min(2 * actor.pause_s, _POLL_S[1])

    def _push(self, actor):
        if actor.state == "gone":
            return
        parts = number_of_parts(ROLLOUT, actor.copies, self.batch_steps)
        for _ in range(parts):
            steps = actor.fragment // parts
            actor.stream.append((steps, actor.played_with))
            actor.unconsumed.add([Amount(steps)])
            self._queue.append((actor, steps, actor.played_with))
            header = SimpleNamespace(
                steps=steps, games=0, created_ms=1000 * self.now_s, version=actor.played_with, evaluation=False
            )
            self.flow.arrives(actor.name, header)
            self._passed.arrive([header])
        actor.state = "waiting"
        self._ask(actor)
        self._learn()

    def _learn(self):
        while not self._training and self._queue:
            self._batch.append(self._queue.pop(0))
            steps = sum(each[1] for each in self._batch)
            if steps >= self.batch_steps:
                self.staleness += [self.version - version for _, _, version in self._batch]
                limit = self._passed.limit
                self.stale += sum(each[1] for each in self._batch if self.version - each[2] > limit)
                self.batches.append(steps)
                self._training = True
                self._after(self._update_s * self._random.uniform(0.9, 1.1), self._commit)

    def _commit(self):
        counts = {}
        for actor, steps, _ in self._batch:
            actor.stream.pop(0)
            actor.consumed += steps
            counts[actor.name] = counts.get(actor.name, 0) + 1
        self.flow.consumed(counts, trained=True, staleness_limit=self._passed.limit)
        self._batch, self._training = [], False
        self.version += 1
        self._passed.published(self.version, 1000 * self.now_s)
        for actor in self.actors:  # a version wakes all that wait
            self._ask_after(self._hear_s, actor)
        self._learn()
