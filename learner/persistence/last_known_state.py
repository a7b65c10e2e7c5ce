"""What a learner process remembers of its own commits, to notice what Redis has lost since."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..ledger.head import Head
    from .run_snapshot import RunSnapshot


@dataclass(slots=True)
class LastKnownState:
    """The last states that this process has loaded from Redis or sent to it. It outlives the process's sessions."""

    settled: RunSnapshot | None = None  # the last state known to be committed: loaded from Redis, or sent and confirmed
    sent: RunSnapshot | None = None  # the last state sent; if it is not `settled`, it may or may not be committed
    moments_reset: bool = False  # a commit has settled that was to be made once, at the start of the process

    def loaded(self, snapshot: RunSnapshot) -> None:
        """Record that Redis has this state now."""
        self.settled = self.sent = snapshot

    def next_epoch(self, *others: Head) -> int:
        """An epoch higher than those of all states known here, and of the other heads."""
        known = [snapshot.head for snapshot in (self.settled, self.sent) if snapshot is not None]
        return max((head.epoch for head in (*known, *others)), default=0) + 1

    def may_have_lost(self, head: Head, *, same_server: bool) -> bool:
        """Whether Redis, with this head, may have lost versions that actors have seen.

        Args:
            head: the head in Redis.
            same_server: whether this server process is the one that executed the head's commit. Another process was
                restarted or is a replica. Then only a learner whose last commit is this head knows that nothing is
                lost.
        """
        if self.sent is not None and head.commit == self.sent.head.commit:
            return False
        if not same_server:
            return True
        if self.settled is None or head.commit == self.settled.head.commit:
            return False  # the commit sent after it has failed
        ours = self.settled.head
        return (head.epoch, head.version) <= (ours.epoch, ours.version)
