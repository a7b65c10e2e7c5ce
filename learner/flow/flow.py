"""The flow of entries: what each actor delivers and has unconsumed, and the demand that follows from it."""

from __future__ import annotations

import math
import statistics
import threading
from collections import deque
from typing import TYPE_CHECKING

from ...common.process.clock import monotonic_s
from ...common.wire.demand import UNSENT_SHARE, Demand
from .actor_flow import BATCHES, NOTHING, ActorFlow
from .shares import BATCHES_AHEAD, next_level

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping

    from ...common.wire.entry_header import Header
    from ..config import IntakeConfig
    from .actor_flow import Size

_CONTRIBUTES_S = 5.0  # so long after its last entry, or after it joined, an actor still has a share
# Where an actor's share is less than one entry, it takes turns with others: it is not idle before it had several.
_TURNS = 32
_PATIENCE_S = (0.1, 5.0)  # least and most
_FIRST_RESPONSE_S = 1.0  # as long as none has been seen
_RESPONSES = 15
# How much more the next newcomers are trusted to deliver after one that did, and how much less after one that was idle.
# After two dozen that were idle, a hundred more of their kind lower nobody's share.
_TRUST_GAINED, _TRUST_LEFT = 0.25, 0.75
_AHEAD_MAX = 64.0
_FIRST_ACTORS = 8  # as many may begin before the learner has seen how many they are
_AHEAD_STEP = 1.1


class Flow:
    """Counts what arrives and what is consumed. For any thread.

    Actors hear of a demand when they send or ask next, and then it takes them a while to play. So the amount that all
    of them may have unconsumed together is adapted no faster than they have been seen to respond.
    """

    def __init__(self, intake: IntakeConfig, clock: Callable[[], float] = monotonic_s) -> None:
        self._batch = (intake.batch_steps, intake.batch_games)
        self._units = [unit for unit, batch in enumerate(self._batch) if batch]
        self._budget_bytes, self._clock = intake.max_unconsumed_bytes, clock
        self._lock = threading.Lock()
        self._actors: dict[str, ActorFlow] = {}
        self._unconsumed: Size = (0, 0)  # of all actors together
        self._responses: deque[float] = deque(maxlen=_RESPONSES)  # seconds from room to the next entry
        self._intervals: deque[float] = deque(maxlen=_RESPONSES)  # seconds between two pushes of an actor
        self._trust = 1.0  # which part of the newcomers is expected to deliver
        self._starving_since_s: float | None = None
        self._trained, self._trained_s = 0, clock()  # batches, and when the last one was
        self._ahead = 1.0  # how many times the usual amount all actors together may have unconsumed
        self._ahead_most = _AHEAD_MAX
        self._demand = Demand(0, 0, 0, 0, *self._batch)

    def follow(self, actors: Collection[str]) -> None:
        """Take note of who is read now."""
        now_s = self._clock()
        with self._lock:
            for name in actors:
                if name not in self._actors:
                    self._actors[name] = ActorFlow(now_s, self._trained, now_s)
            for name in [name for name, actor in self._actors.items() if name not in actors and not actor.entries]:
                del self._actors[name]

    def arrives(self, name: str, header: Header | None, *, useful: bool = True) -> None:
        """Note an entry that was read, and that a commit will consume. `header` is None where it has none."""
        now_s = self._clock()
        with self._lock:
            actor = self._actors.get(name)
            if actor is None:
                actor = self._actors[name] = ActorFlow(now_s, self._trained)
            pushed_s = actor.pushed_s
            steps, games = actor.arrive(header, now_s, self._trained, useful=useful and header is not None)
            if actor.pushed_s is not None and pushed_s is None:
                self._trust += _TRUST_GAINED * (1 - self._trust)
            elif actor.pushed_s is not None and pushed_s is not None and actor.pushed_s > pushed_s:
                self._intervals.append(actor.pushed_s - pushed_s)
            self._unconsumed = (self._unconsumed[0] + steps, self._unconsumed[1] + games)
            if actor.freed_s is not None and useful and header is not None:
                self._responses.append(now_s - actor.freed_s)
                actor.freed_s = None

    def consumed(self, counts: Mapping[str, int], *, trained: bool, staleness_limit: int) -> None:
        """Note what a commit consumes.

        Args:
            counts: actor to the number of its entries.
            trained: whether a batch was, or the commit only removes rejected entries.
            staleness_limit: in effect, in versions.
        """
        now_s = self._clock()
        with self._lock:
            somebody_waits = self._somebody_waits(now_s)
            for name, consumed in counts.items():
                actor = self._actors.get(name)
                if actor is None or not (count := min(consumed, len(actor.entries))):
                    continue
                if self._limited(actor):
                    actor.freed_s = now_s
                steps, games = actor.consume(count, self._trained if trained else None)
                self._unconsumed = (self._unconsumed[0] - steps, self._unconsumed[1] - games)
            # Each batch that waits before an entry makes it older by a version: what is stale by its turn is no help.
            self._ahead_most = min(max(staleness_limit / (BATCHES_AHEAD * (1 + UNSENT_SHARE)), 1.0), _AHEAD_MAX)
            self._ahead = min(self._ahead, self._ahead_most)
            if trained:
                self._trained += 1
                self._adapt(now_s, somebody_waits=somebody_waits)

    def revise(self, *, starving: bool) -> Demand | None:
        """The demand as it should be now, or None where it is as before.

        Args:
            starving: whether the learner waits: its batch is incomplete and nothing is left to take.
        """
        now_s = self._clock()
        with self._lock:
            if not starving:
                self._starving_since_s = None
            elif self._starving_since_s is None:
                self._starving_since_s = now_s
            elif now_s - self._starving_since_s > self._patience_s:
                self._starving_since_s = now_s
                if not self._find_idle(now_s):
                    self._ask_for_more(now_s)
            return self._revised(now_s)

    @property
    def demand(self) -> Demand:
        """The present one."""
        return self._demand

    @property
    def _response_s(self) -> float:
        """How long it takes actors to deliver what they got room for."""
        return statistics.median(self._responses) if self._responses else _FIRST_RESPONSE_S

    @property
    def _patience_s(self) -> float:
        """How long to wait for what actors may send before more is asked for.

        By the quickest quarter of the responses: most of the last ones may be of a time in which all had to wait. Where
        nobody had to wait yet, by the time that actors take from one push to the next.
        """
        least, most = _PATIENCE_S
        responses = sorted(self._responses or self._intervals)
        response_s = responses[len(responses) // 4] if responses else _FIRST_RESPONSE_S
        return min(max(1.5 * response_s, least), most)

    def _levels(self) -> Size:
        return self._demand.steps, self._demand.games

    def _revised(self, now_s: float) -> Demand | None:
        actors, levels = self._sharing(now_s), [0, 0]
        for unit in self._units:
            total = BATCHES_AHEAD * self._batch[unit] * self._ahead
            level = next_level([each.contribution(unit, self._trained) for each in actors], total, self._levels()[unit])
            if not self._actors:
                level /= _FIRST_ACTORS
            levels[unit] = max(round(level), 1)
        steps, games = levels
        payload_bytes = max(self._budget_bytes // max(len(actors), 1), 1)
        if (steps, games, payload_bytes) == (*self._levels(), self._demand.payload_bytes):
            return None
        self._demand = Demand(self._demand.serial + 1, steps, games, payload_bytes, *self._batch)
        return self._demand

    def _sharing(self, now_s: float) -> list[ActorFlow]:
        """Those among whom the total is shared: who contributes; of newcomers only as many as are likely to."""
        delivering: list[ActorFlow] = []
        newcomers: list[ActorFlow] = []
        for actor in self._contributing(now_s):
            (newcomers if actor.pushed_s is None and actor.unconsumed == NOTHING else delivering).append(actor)
        return delivering + newcomers[: math.ceil(self._trust * len(newcomers) - 0.5)]

    def _contributing(self, now_s: float) -> Iterator[ActorFlow]:
        largest = None
        for actor in self._actors.values():
            if actor.unconsumed == NOTHING:
                if actor.idle:
                    continue
                if now_s - actor.heard_s > _CONTRIBUTES_S:
                    largest = largest or _largest(actor.push for actor in self._actors.values())
                    if self._trained - actor.heard_batch > self._batches_between_turns(actor, largest):
                        continue
            yield actor

    def _batches_between_turns(self, actor: ActorFlow, largest: Size) -> float:
        """After how many batches without an entry an actor counts as idle. `largest` is the largest push of all."""
        levels = self._levels()
        entries = min((actor.push[unit] or largest[unit]) / max(levels[unit], 1) for unit in self._units)
        return max(BATCHES, _TURNS * entries) if entries > 1 else BATCHES

    def _limited(self, actor: ActorFlow) -> bool:
        """Whether its share of the steps and its share of the games are both reached."""
        levels = self._levels()
        return all(actor.limited_by(unit, levels[unit]) for unit in self._units)

    def _somebody_waits(self, now_s: float) -> bool:
        return any(self._limited(actor) for actor in self._contributing(now_s))

    def _somebody_is_stuck(self) -> bool:
        """Whether what is of no use leaves an actor no room, while the commit that removes it waits for the batch."""
        levels = self._levels()
        return any(
            (actor.unknown or actor.useless != NOTHING)
            and all(actor.is_stuck(unit, levels[unit]) for unit in self._units)
            for actor in self._actors.values()
        )

    def _find_idle(self, now_s: float) -> bool:
        """Whether actors are found that have room and deliver nothing; from now on they have no share."""
        found = [
            actor
            for actor in self._contributing(now_s)
            if actor.unconsumed == NOTHING and not self._limited(actor) and now_s - actor.heard_s > self._patience_s
        ]
        for actor in found:
            actor.idle = True
            if actor.pushed_s is None:
                self._trust *= _TRUST_LEFT
        return bool(found)

    def _ask_for_more(self, now_s: float) -> None:
        """Let more be unconsumed, if actors wait for that, while the learner waits for them.

        Nothing becomes older then. So this goes beyond `_ahead_most` for the one batch, of which much may be stale or
        of no use: a batch that cannot be filled would stop the run.
        """
        if self._somebody_waits(now_s) or self._somebody_is_stuck():
            growth = 2.0 if self._ahead < self._ahead_most else 1.5
            self._ahead = min(growth * self._ahead, _AHEAD_MAX)

    def _adapt(self, now_s: float, *, somebody_waits: bool) -> None:
        """Let more be unconsumed where actors wait and yet no full batch is on its way, and less where it is."""
        ready = min(self._unconsumed[unit] / self._batch[unit] for unit in self._units)
        step = _AHEAD_STEP ** min((now_s - self._trained_s) / max(self._response_s, 1e-3), 1.0)
        self._trained_s = now_s
        if ready < 1 and somebody_waits:
            self._ahead = min(self._ahead * step, self._ahead_most)
        elif ready > 1.25 or not somebody_waits:
            self._ahead = max(self._ahead / step, 1.0)


def _largest(sizes: Iterable[Size]) -> Size:
    steps, games = 0.0, 0.0
    for size in sizes:
        steps, games = max(steps, size[0]), max(games, size[1])
    return steps, games
