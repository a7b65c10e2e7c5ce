"""How much an actor may have unconsumed: by the learner's demand, and by what of the actor is in its stream."""

from __future__ import annotations

import math
import random
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ...common.process.clock import monotonic_s

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from ...common.wire.demand import Demand
    from ...common.wire.entry_header import Header

_BYTES_WITHOUT_DEMAND = 32 << 20
_MEAN_WEIGHT = 0.1  # of the latest entry in the mean
# At most so long after its first demand, an actor has no more than what it adds at once, as the learner may not have
# counted it yet: of many that join at the same time, each would take what is meant for one.
_FIRST_S = 1.0
# By which part of its share an actor's turn moves on with each version, where the share is less than what it adds at
# once. Much faster, and actors would begin before what others added in their turn has been consumed.
_TURN = 0.125
_WAIT_S = 0.05, 0.4
_ASKED_PER_S = 300.0  # for room, by all actors together, where half of their shares are a batch


@dataclass(frozen=True, slots=True)
class Amount:
    """An amount of play. Steps are counted as in the learner's batch: with those that resets swallow."""

    steps: float = 0.0
    games: float = 0.0
    payload_bytes: float = 0.0

    def __add__(self, other: Amount) -> Amount:
        """Both together."""
        return Amount(self.steps + other.steps, self.games + other.games, self.payload_bytes + other.payload_bytes)

    def __sub__(self, other: Amount) -> Amount:
        """This amount without the other."""
        return Amount(self.steps - other.steps, self.games - other.games, self.payload_bytes - other.payload_bytes)

    def __mul__(self, factor: float) -> Amount:
        """So many times this amount."""
        return Amount(self.steps * factor, self.games * factor, self.payload_bytes * factor)

    def towards(self, other: Amount, weight: float) -> Amount:
        """A mean of both, in which the other has this weight."""
        keep = 1 - weight
        return Amount(
            keep * self.steps + weight * other.steps,
            keep * self.games + weight * other.games,
            keep * self.payload_bytes + weight * other.payload_bytes,
        )


NOTHING = Amount()


def amount_of(header: Header, payload_bytes: int) -> Amount:
    """What an entry is. Greedy games that evaluate a version are in no batch: they take nothing of what is wanted."""
    if header.evaluation:
        return NOTHING
    return Amount(header.steps + header.games, header.games, payload_bytes)


class Unconsumed:
    """What of an actor is in its stream, as of the last look at the stream's length.

    Entries leave the stream in order. So with a length of n it is the last n of those that were added.
    """

    def __init__(self) -> None:
        self._added: deque[Amount] = deque()
        self._known = NOTHING  # the sum of `_added`
        self.entries = 0
        self.mean_entry = NOTHING  # a moving mean; nothing before the first entry

    def add(self, entries: Iterable[Amount]) -> None:
        """Note what was added to the stream."""
        for entry in entries:
            self._added.append(entry)
            self._known += entry
            if entry is NOTHING:
                continue
            self.mean_entry = self.mean_entry.towards(entry, _MEAN_WEIGHT) if self.mean_entry.steps else entry

    def observe(self, stream_length: int) -> None:
        """Take note of the stream's length."""
        while len(self._added) > stream_length:
            self._known -= self._added.popleft()
        self.entries = stream_length

    @property
    def amount(self) -> Amount:
        """The sum over the entries. Those of an earlier process are taken to be of the mean size."""
        unknown = self.entries - len(self._added)
        return self._known + self.mean_entry * unknown if unknown > 0 else self._known


class Credit:
    """Whether an actor may add more to its stream.

    Where its share is no multiple of what it adds at once, actors take turns: each may have the next smaller multiple,
    or, while it has a turn, the next larger one, and the mean over all is the share. So of a hundred actors that each
    may have a tenth of a fragment unconsumed, ten play.
    """

    def __init__(self, entries_without_demand: int, clock: Callable[[], float] = monotonic_s) -> None:
        """No demand is known yet.

        Args:
            entries_without_demand: how many entries may be unconsumed as long as that is so.
            clock: seconds.
        """
        self._entries_without_demand, self._clock = entries_without_demand, clock
        self._first: tuple[int, float] | None = None  # the serial of the first demand, until there is another; and when
        self._turn = random.random()  # noqa: S311 - only so that not all actors have their turns at the same time
        self._version: tuple[int, int] | None = None
        self._demand: Demand | None = None

    @property
    def steps(self) -> int | None:
        """The actor's share in steps; None where the demand is not known, or not in steps."""
        return self._demand.steps or None if self._demand is not None else None

    @property
    def longest_wait_s(self) -> float:
        """How long to wait at most before asking again for room, where no new version ends the wait.

        More may be wanted meanwhile, of those who are left: a learner that waits for one actor of a few should not wait
        for long, and many actors that ask often would keep the server busy.
        """
        least, most = _WAIT_S
        demand = self._demand
        if demand is None:
            return most
        shares = [
            batch / share
            for batch, share in ((demand.batch_steps, demand.steps), (demand.batch_games, demand.games))
            if batch and share
        ]
        return min(max(min(shares, default=math.inf) / _ASKED_PER_S, least), most)

    @property
    def batch_steps(self) -> int | None:
        """Of the learner's batch; None where it is not known, or the batch is not measured in steps."""
        return self._demand.batch_steps or None if self._demand is not None else None

    def learn(self, demand: Demand | None, version: tuple[int, int], usual: Amount) -> None:
        """Take note of the newest demand.

        Args:
            demand: None where Redis has none.
            version: the newest version of the policy, with its epoch. Each new one moves the turns on.
            usual: what the actor adds at once.
        """
        self._demand = demand
        if demand is not None and self._first is None:
            self._first = (demand.serial, self._clock())
        if demand is not None and version != self._version:
            self._version = version
            part = demand.steps / usual.steps if demand.steps and usual.steps else 1.0
            self._turn = (self._turn + _TURN * min(part, 1.0)) % 1.0

    def allows(self, unconsumed: Unconsumed, more: Amount) -> bool:
        """Whether `more` may be added to what is unconsumed."""
        demand, there = self._demand, unconsumed.amount
        if demand is None:
            return unconsumed.entries < self._entries_without_demand and there.payload_bytes < _BYTES_WITHOUT_DEMAND
        if unconsumed.entries and self._is_new(demand):
            return False
        if unconsumed.entries and there.payload_bytes + more.payload_bytes > demand.payload_bytes:
            return False
        return self._has_room(there.steps, more.steps, demand.steps, demand.batch_steps) or self._has_room(
            there.games, more.games, demand.games, demand.batch_games
        )

    def entries(self, unconsumed: Unconsumed) -> int:
        """How many more entries of the mean size may be added; at most one as long as the size is not known."""
        demand, there, mean = self._demand, unconsumed.amount, unconsumed.mean_entry
        if not self.allows(unconsumed, mean):
            return 0
        if demand is None:
            return self._entries_without_demand - unconsumed.entries
        if not mean.steps or self._is_new(demand):
            return 1
        by_size = [
            (level + self._turn * size - held) / size
            for level, held, size in (
                (demand.steps, there.steps, mean.steps),
                (demand.games, there.games, mean.games),
            )
            if level and size
        ]
        by_bytes = (demand.payload_bytes - there.payload_bytes) / max(mean.payload_bytes, 1)
        return max(int(min(max(by_size, default=1.0), by_bytes)), 1)

    def _is_new(self, demand: Demand) -> bool:
        """Whether the learner may not have counted this actor yet."""
        return self._first is not None and demand.serial == self._first[0] and self._clock() < self._first[1] + _FIRST_S

    def _has_room(self, there: float, more: float, level: float, batch: float) -> bool:
        if not level:
            return False
        if not there and level >= batch:  # with a larger share, larger fragments would not fit either
            return True
        return there + more <= level + self._turn * more
