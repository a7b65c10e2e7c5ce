"""What a learner process remembers of its own commits, to notice what Redis has lost since."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..ledger.head import Head
    from .run_snapshot import RunSnapshot


@dataclass(slots=True)
class LastKnownState:
    """The last states that this process knows to be in Redis, or sent there. Outlives the sessions of the process."""

    settled: RunSnapshot | None = None  # the last state known to be committed: loaded from Redis, or sent and confirmed
    sent: RunSnapshot | None = None  # the last state sent; if it is not `settled`, its fate is unknown

    def loaded(self, snapshot: RunSnapshot) -> None:
        """Redis holds this state now, whatever it held before."""
        self.settled = self.sent = snapshot

    def next_epoch(self, *others: Head) -> int:
        """An epoch above that of every version known here, and of the other heads."""
        known = [snapshot.head for snapshot in (self.settled, self.sent) if snapshot is not None]
        return max((head.epoch for head in (*known, *others)), default=0) + 1

    def may_have_lost(self, head: Head, *, same_server: bool) -> bool:
        """Whether a run that stands at `head` may have lost versions that actors have seen.

        Args:
            head: where Redis stands.
            same_server: whether the server is the very process that took this head's commit. If it is another one, it
                was restarted or is a replica, and only a learner that knows of nothing newer can say it lost nothing.
        """
        if self.sent is not None and head.commit == self.sent.head.commit:
            return False
        if not same_server:
            return True
        if self.settled is None or head.commit == self.settled.head.commit:
            return False  # what was sent after it never went through
        ours = self.settled.head
        return (head.epoch, head.version) <= (ours.epoch, ours.version)
