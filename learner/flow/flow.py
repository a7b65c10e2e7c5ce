"""The flow of entries: what each actor delivers and has unconsumed, and the demand that follows from it."""

from __future__ import annotations

import statistics
import threading
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ...common.process.clock import monotonic_s
from ...common.wire.demand import Demand
from .shares import BATCHES_AHEAD, Contribution, next_level

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping

    from ...common.wire.entry_header import Header
    from ..config import IntakeConfig

_BATCHES = 3  # over which an actor's rate is averaged
_CONTRIBUTES_S = 5.0  # so long after its last entry, or after it joined, an actor still has a share
# Where an actor's share is less than one entry, it takes turns with others: it is not idle before it had several.
_TURNS = 32
_PATIENCE_S = (0.1, 5.0)  # least and most
_FIRST_RESPONSE_S = 1.0  # as long as none has been seen
_RESPONSES = 15
_AHEAD_MAX = 64.0
_FIRST_ACTORS = 8  # as many may begin before the learner has seen how many they are
_AHEAD_STEP = 1.1

_Size = tuple[float, float]  # steps, games


@dataclass(slots=True)
class _Actor:
    """One actor, as the learner sees it."""

    heard_s: float  # when it joined, or its last entry was read
    heard_batch: int  # how many batches had been trained on then
    freed_s: float | None = None  # when it got room that it was waiting for
    entries: deque[_Size] = field(default_factory=deque)  # read, and not yet in a commit
    unconsumed: _Size = (0.0, 0.0)
    push: _Size = (0.0, 0.0)  # what it added last at once
    created_ms: int = 0  # when that was
    batches: deque[_Size] = field(default_factory=lambda: deque(maxlen=_BATCHES))  # its part of the last ones
    idle: bool = False  # it has room, and delivers nothing while the learner waits

    def contribution(self, unit: int) -> Contribution:
        """What it contributes, in steps (0) or games (1)."""
        mean = sum(batch[unit] for batch in self.batches) / len(self.batches) if self.batches else None
        return Contribution(self.unconsumed[unit], self.push[unit], mean)


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
        self._actors: dict[str, _Actor] = {}
        self._responses: deque[float] = deque(maxlen=_RESPONSES)  # seconds from room to the next entry
        self._starving_since_s: float | None = None
        self._trained, self._trained_s = 0, clock()  # batches, and when the last one was
        self._ahead = 1.0  # how many times the usual amount all actors together may have unconsumed
        self._demand = Demand(0, 0, 0, 0, *self._batch)

    def follow(self, actors: Collection[str]) -> None:
        """Take note of who is read now."""
        now_s = self._clock()
        with self._lock:
            for name in actors:
                self._actors.setdefault(name, _Actor(now_s, self._trained, now_s))
            for name in [name for name, actor in self._actors.items() if name not in actors and not actor.entries]:
                del self._actors[name]

    def arrives(self, name: str, header: Header | None) -> None:
        """Note an entry that was read, and that a commit will consume. `header` is None where it has none."""
        now_s = self._clock()
        # As the batcher counts steps: with those that resets swallow.
        size = (0, 0) if header is None else (header.steps + header.games, header.games)
        with self._lock:
            actor = self._actors.setdefault(name, _Actor(now_s, self._trained))
            if not any(map(any, actor.batches)):  # it begins, or begins again
                actor.batches.clear()
            actor.entries.append(size)
            actor.unconsumed = _sum([actor.unconsumed, size])
            if header is not None:
                # The parts of a fragment that was too large for one entry have one time.
                same = header.created_ms == actor.created_ms
                actor.push = _sum([actor.push, size]) if same else size
                actor.created_ms = header.created_ms
            actor.heard_s, actor.heard_batch, actor.idle = now_s, self._trained, False
            if actor.freed_s is not None:
                self._responses.append(now_s - actor.freed_s)
                actor.freed_s = None

    def consumed(self, counts: Mapping[str, int], *, trained: bool) -> None:
        """Note what a commit consumes.

        Args:
            counts: actor to the number of its entries.
            trained: whether a batch was, or the commit only removes rejected entries.
        """
        now_s = self._clock()
        with self._lock:
            somebody_waits = self._somebody_waits(now_s)
            for name, actor in self._actors.items():
                count = min(counts.get(name, 0), len(actor.entries))
                if count and self._limited(actor):
                    actor.freed_s = now_s
                taken = _sum(actor.entries.popleft() for _ in range(count))
                actor.unconsumed = _sum(actor.entries)
                if trained and (actor.batches or count):
                    actor.batches.append(taken)
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
                if not self._find_idle(now_s) and self._somebody_waits(now_s):
                    self._ahead = min(2 * self._ahead, _AHEAD_MAX)
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
        """How long to wait for what actors may send before more is asked for."""
        least, most = _PATIENCE_S
        return min(max(1.5 * self._response_s, least), most)

    def _levels(self) -> _Size:
        return self._demand.steps, self._demand.games

    def _revised(self, now_s: float) -> Demand | None:
        actors, levels = self._contributing(now_s), [0, 0]
        for unit in self._units:
            total = BATCHES_AHEAD * self._batch[unit] * self._ahead
            level = next_level([each.contribution(unit) for each in actors], total, self._levels()[unit])
            if not self._actors:
                level /= _FIRST_ACTORS
            levels[unit] = max(round(level), 1)
        steps, games = levels
        payload_bytes = max(self._budget_bytes // max(len(actors), 1), 1)
        if (steps, games, payload_bytes) == (*self._levels(), self._demand.payload_bytes):
            return None
        self._demand = Demand(self._demand.serial + 1, steps, games, payload_bytes, *self._batch)
        return self._demand

    def _contributing(self, now_s: float) -> list[_Actor]:
        largest = _largest(actor.push for actor in self._actors.values())
        return [
            actor
            for actor in self._actors.values()
            if actor.entries
            or (
                not actor.idle
                and (
                    now_s - actor.heard_s <= _CONTRIBUTES_S
                    or self._trained - actor.heard_batch <= self._batches_between_turns(actor, largest)
                )
            )
        ]

    def _batches_between_turns(self, actor: _Actor, largest: _Size) -> float:
        """After how many batches without an entry an actor counts as idle. `largest` is the largest push of all."""
        levels = self._levels()
        entries = min((actor.push[unit] or largest[unit]) / max(levels[unit], 1) for unit in self._units)
        return max(_BATCHES, _TURNS * entries) if entries > 1 else _BATCHES

    def _limited(self, actor: _Actor) -> bool:
        """Whether its share of the steps and its share of the games are both reached."""
        levels = self._levels()
        return all(actor.contribution(unit).limited_by(levels[unit]) for unit in self._units)

    def _somebody_waits(self, now_s: float) -> bool:
        return any(self._limited(actor) for actor in self._contributing(now_s))

    def _find_idle(self, now_s: float) -> bool:
        """Whether actors are found that have room and deliver nothing; from now on they have no share."""
        found = [
            actor
            for actor in self._contributing(now_s)
            if any(actor.push)
            and not (actor.entries or self._limited(actor))
            and now_s - actor.heard_s > self._patience_s
        ]
        for actor in found:
            actor.idle = True
        return bool(found)

    def _adapt(self, now_s: float, *, somebody_waits: bool) -> None:
        """Let more be unconsumed where actors wait and yet no full batch is on its way, and less where it is."""
        there = _sum(actor.unconsumed for actor in self._actors.values())
        ready = min(there[unit] / self._batch[unit] for unit in self._units)
        step = _AHEAD_STEP ** min((now_s - self._trained_s) / max(self._response_s, 1e-3), 1.0)
        self._trained_s = now_s
        if ready < 1 and somebody_waits:
            self._ahead = min(self._ahead * step, _AHEAD_MAX)
        elif ready > 1.25 or not somebody_waits:
            self._ahead = max(self._ahead / step, 1.0)


def _sum(sizes: Iterable[_Size]) -> _Size:
    steps, games = 0.0, 0.0
    for size in sizes:
        steps, games = steps + size[0], games + size[1]
    return steps, games


def _largest(sizes: Iterable[_Size]) -> _Size:
    steps, games = 0.0, 0.0
    for size in sizes:
        steps, games = max(steps, size[0]), max(games, size[1])
    return steps, games
