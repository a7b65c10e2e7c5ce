"""The batcher: which entries go into the next update, and which are rejected."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from ..ledger.id_ranges import IdRange
from ..ledger.stream_entry import Cursors, Entry, EntryId
from .admission import fresh_steps, oldest_version, rejection

if TYPE_CHECKING:
    from ...common.wire.entry_header import Header
    from ...common.wire.trajectory import Trajectory
    from ..config import IntakeConfig
    from ..ledger.counters import Rejection
    from ..ledger.head import Standing

# What became of entries whose games count in the run's figures. An entry whose update was not finite is in them too.
_ARRIVED = {None, "stale", "too_old", "wrong_epoch"}
# No actor numbers so many entries without sending them, or gives up so many games between two entries. A hostile id or
# total must not spoil the counts for good.
_GAP_MAX = 1 << 20


@dataclass(slots=True)
class Batcher:
    """Collects entries until there are enough for an update. The next commit consumes all entries that it holds."""

    config: IntakeConfig
    cursors: Cursors  # as of the last commit
    # Actor to the games that it has given up since the incarnation of its cursor began, as of the last commit.
    given_up: dict[str, int] = field(default_factory=dict)
    accepted: list[tuple[EntryId, str, Header, Trajectory]] = field(default_factory=list)
    evaluated: list[tuple[EntryId, str, Header]] = field(default_factory=list)  # of games that evaluate a version
    rejected: list[tuple[Entry, Rejection]] = field(default_factory=list)
    consumed: dict[str, tuple[EntryId, int]] = field(default_factory=dict)  # actor to last id and how many
    gaps: dict[str, list[IdRange]] = field(default_factory=dict)  # actor to ids that it numbered and never sent
    # Actor and header of what came from the run's own games, whether it is trained on or not: their results count.
    # Those of games that evaluate a version are among them, in the order of arrival.
    arrived: list[tuple[str, Header]] = field(default_factory=list)
    overflow: int = 0  # games that actors gave up, according to these entries
    oldest_version: int = 0  # steps that an older one played are not trained on
    steps: int = 0
    games: int = 0

    def add(self, entry: Entry, standing: Standing, now_ms: int) -> None:
        """Add an entry, to be trained on or rejected. Either way the next commit consumes it."""
        last = self.cursors.get(entry.actor)
        _, count = self.consumed.get(entry.actor, (None, 0))
        self.consumed[entry.actor] = (entry.id, count + 1)
        if last is not None and entry.id <= last:
            self.rejected.append((entry, "duplicate"))
            return
        if gap := _gap(last, entry.id):
            self.gaps.setdefault(entry.actor, []).append(gap)
        self.cursors[entry.actor] = entry.id
        self._count_overflow(entry, last)
        self.oldest_version = oldest_version(standing, self.config)
        header, trajectory, fresh = entry.header, entry.trajectory, None
        evaluates = header is not None and header.evaluation and entry.rejected is None
        reason: Rejection | None
        if header is None or (trajectory is None and not evaluates):
            reason = entry.rejected or "invalid"
        elif not (reason := rejection(header, standing, now_ms, self.config)) and trajectory is not None:
            fresh = fresh_steps(header, trajectory, self.oldest_version)  # it has aged since it was read
            if fresh is not None and not (fresh & trajectory.valid).any():
                reason = "stale"
        if header is not None and _has_results(header, reason):
            self.arrived.append((entry.actor, header))
        if reason is None and header is not None and header.evaluation:
            self.evaluated.append((entry.id, entry.actor, header))
        elif reason is not None or header is None or trajectory is None:
            self.rejected.append((entry, reason or "invalid"))
        else:
            self.accepted.append((entry.id, entry.actor, header, trajectory))
            steps = _steps(trajectory)
            self.steps += steps if fresh is None else min(steps, int(np.count_nonzero(fresh)))
            self.games += header.games

    def reject_accepted(self, why: str) -> None:
        """Reject the accepted entries, because the update on them was not finite."""
        for entry_id, actor, header, _ in self.accepted:
            self.rejected.append((Entry(actor, entry_id, header, None, "non_finite", why), "non_finite"))
        self.accepted.clear()

    def _count_overflow(self, entry: Entry, last: EntryId | None) -> None:
        """Count the games given up since the actor's entry before; it tells their total since its incarnation began."""
        if entry.header is None:
            return
        before = self.given_up.get(entry.actor, 0) if last is not None and last[0] == entry.id[0] else 0
        total = max(entry.header.overflow, before)
        self.overflow += min(total - before, _GAP_MAX)
        self.given_up[entry.actor] = total

    @property
    def has_leftovers(self) -> bool:
        """Whether it holds entries that no update will consume."""
        return bool(self.rejected or self.evaluated)

    @property
    def lost(self) -> int:
        """How many ids are missing."""
        return sum(gap.size for gaps in self.gaps.values() for gap in gaps)

    @property
    def played_steps(self) -> int:
        """The accepted steps, without those that resets swallow."""
        return sum(header.steps for _, _, header, _ in self.accepted)

    @property
    def complete(self) -> bool:
        """Whether the accepted entries are enough for an update."""
        return bool(self.accepted) and self.steps >= self.config.batch_steps and self.games >= self.config.batch_games

    def in_order(self) -> list[tuple[Header, Trajectory]]:
        """The accepted entries, sorted by actor and id: the same entries always make the same batch."""
        self.accepted.sort(key=lambda each: (each[1], each[0]))
        return [(header, trajectory) for _, _, header, trajectory in self.accepted]


def _has_results(header: Header, reason: Rejection | None) -> bool:
    """Whether the results of an entry's games count in a figure of the run; `reason` is why it is rejected."""
    return reason is None if header.evaluation else not header.imported and reason in _ARRIVED


def _steps(trajectory: Trajectory) -> int:
    """The steps of an entry, with those that resets swallow and without padding.

    A reset is one step that is not valid, after a game's end or where its column begins; what follows is padding.
    """
    valid = trajectory.valid
    played = int(np.count_nonzero(valid))
    if played == valid.size:
        return played
    return played + int(np.count_nonzero(valid[:-1] & ~valid[1:]) + np.count_nonzero(~valid[0]))


def _gap(last: EntryId | None, current: EntryId) -> IdRange | None:
    """The ids between the last one and the current one, which the actor never sent. An incarnation begins at 1."""
    incarnation, sequence = current
    before = last[1] if last is not None and last[0] == incarnation else 0
    if sequence <= before + 1:
        return None
    return IdRange(incarnation, max(before + 1, sequence - _GAP_MAX), sequence - 1)
