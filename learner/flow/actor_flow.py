"""What the learner knows of one actor: what it delivers, what of it is unconsumed, and its part of the last batches."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from .shares import Contribution, is_limited

if TYPE_CHECKING:
    from ...common.wire.entry_header import Header

BATCHES = 3  # over which an actor's rate is averaged

Size = tuple[float, float]  # steps, games

NOTHING: Size = (0, 0)


@dataclass(slots=True)
class ActorFlow:
    """One actor. A batch is told by its number: how many had been trained on before it.

    What happens to every entry takes the same time however many actors there are, and nothing is done for an actor of
    which a batch has nothing.
    """

    heard_s: float  # when it joined, or its last entry was read
    heard_batch: int  # the number of the batch then
    freed_s: float | None = None  # when it got room that it was waiting for
    # Read, not yet in a commit: the size, None where it is unknown, and whether it is of use.
    entries: deque[tuple[Size | None, bool]] = field(default_factory=deque)
    unconsumed: Size = NOTHING  # of those that are of use
    useless: Size = NOTHING  # of the others, which the actor counts too: they may be all that it may have unconsumed
    unknown: int = 0  # entries that are of no use, and whose size only the actor knows
    push: Size = NOTHING  # what it added last at once
    pushed_s: float | None = None  # when that was read; None before the first time
    idle: bool = False  # it has room, and delivers nothing of use while the learner waits
    _created_ms: int = 0  # when that was
    _first_batch: int | None = None  # of those that say what its rate is
    _parts: deque[tuple[int, Size]] = field(default_factory=lambda: deque(maxlen=BATCHES))  # number, what it had in it

    def arrive(self, header: Header | None, now_s: float, batch: int, *, useful: bool = True) -> Size:
        """Note an entry that was read while `batch` was collected. `header` is None where it has none.

        An actor that delivers only what is of no use has no share in what the others may deliver.

        Returns:
            Its size, if it is of use.
        """
        # As the batcher counts steps: with those that resets swallow.
        steps, games = size = NOTHING if header is None else (header.steps + header.games, header.games)
        evaluates = header is not None and header.evaluation  # in no batch: it says nothing of what the actor delivers
        useful = useful and header is not None
        self.entries.append((None if header is None else size, useful and not evaluates))
        self.unknown += header is None
        if header is None or not useful or evaluates:
            self.useless = (self.useless[0] + steps, self.useless[1] + games)
            self.idle = self.idle or not useful
            return NOTHING
        if self._parts and self._parts[-1][0] < batch - BATCHES:  # it begins again
            self._first_batch = None
            self._parts.clear()
        before_steps, before_games = self.unconsumed
        self.unconsumed = (before_steps + steps, before_games + games)
        # The parts of a fragment that was too large for one entry have one time.
        if header.created_ms == self._created_ms:
            self.push = (self.push[0] + steps, self.push[1] + games)
        else:
            self.push, self.pushed_s, self._created_ms = size, now_s, header.created_ms
        self.heard_s, self.heard_batch, self.idle = now_s, batch, False
        return size

    def consume(self, count: int, batch: int | None) -> Size:
        """Note that its first `count` entries are consumed. `batch` is None where none was trained on.

        Returns:
            The size of those that are of use.
        """
        taken_steps, taken_games = 0.0, 0.0
        for _ in range(count):
            size, useful = self.entries.popleft()
            self.unknown -= size is None
            steps, games = size or NOTHING
            if useful:
                taken_steps, taken_games = taken_steps + steps, taken_games + games
            else:
                self.useless = (self.useless[0] - steps, self.useless[1] - games)
        self.unconsumed = (self.unconsumed[0] - taken_steps, self.unconsumed[1] - taken_games)
        if batch is not None and count:
            if self._first_batch is None:
                self._first_batch = batch
            self._parts.append((batch, (taken_steps, taken_games)))
        return taken_steps, taken_games

    def limited_by(self, unit: int, level: float) -> bool:
        """Whether a share of `level` steps (0) or games (1) limits it."""
        return is_limited(self.unconsumed[unit] + self.useless[unit], self.push[unit], level)

    def is_stuck(self, unit: int, level: float) -> bool:
        """Whether a share of `level` leaves it no room for a step more (0) or a game (1), or may do so."""
        return bool(self.unknown) or is_limited(
            self.unconsumed[unit] + self.useless[unit], max(self.push[unit], 1), level
        )

    def contribution(self, unit: int, batch: int) -> Contribution:
        """What it contributes, in steps (0) or games (1), while `batch` is collected."""
        mean = None
        if self._first_batch is not None and self._first_batch < batch:
            recent = sum(part[unit] for number, part in self._parts if number >= batch - BATCHES)
            mean = recent / min(BATCHES, batch - self._first_batch)
        return Contribution(self.unconsumed[unit] + self.useless[unit], self.push[unit], mean)
