"""The head: the epoch, version and commit id that a run has reached; and the lineage of its last versions."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field

Lineage = dict[int, str]  # the epoch's last versions to the commits that published them

_LINEAGE_MAX = 256  # versions; an entry of an older one is usually rejected as stale anyway


@dataclass(frozen=True, slots=True)
class Head:
    """The position of a commit in its run: its epoch, its version and its id. Versions rise by one within an epoch.

    Three classes have a field `head` of this type. In a `Commit` it is the position after the commit, in a
    `RunSnapshot` the position at which the state was stored, and in a `Standing` the position that the learner's next
    commit follows.
    """

    epoch: int = 0
    version: int = 0
    commit: str = ""


@dataclass(frozen=True, slots=True)
class Standing:
    """Head and lineage: the state that decides whether an entry is stale or of another lineage. Immutable.

    The learner replaces its `Standing` as a whole, when it builds a commit and before it sends that commit. The reading
    thread uses the value that it finds. This is safe. To replace a reference is atomic, so head and lineage always
    belong together. With the previous value, an entry is judged as it would have been a moment earlier; an entry that
    has become stale since then is found when it is put into a batch, where each entry is judged again. And no entry can
    have a version that the previous value does not know, because actors get a version only after its commit was sent.
    """

    head: Head = field(default_factory=Head)
    lineage: Lineage = field(default_factory=dict)  # never changed in place
    max_staleness: int = 4  # in versions; the limit in effect, where the user has set none
    oldest_version: int = 0  # play of an earlier one is stale: the run has gone back to an earlier state since

    def after(
        self, head: Head, *, publish: bool, max_staleness: int | None = None, oldest_version: int = 0
    ) -> Standing:
        """The standing after a commit that leads to `head`, and publishes its version or not.

        `max_staleness` is the new automatic limit; None: as before.
        """
        limit = self.max_staleness if max_staleness is None else max_staleness
        if not publish:
            return Standing(head, self.lineage, limit, oldest_version)
        same_epoch = self.lineage if head.epoch == self.head.epoch else {}
        kept = list(same_epoch.items())[-_LINEAGE_MAX:]
        return Standing(head, {**dict(kept), head.version: head.commit}, limit, oldest_version)


def next_head(parent: Head, *, publish: bool) -> Head:
    """The head after a commit: with a new id, and with the next version if the commit publishes one."""
    return Head(parent.epoch, parent.version + publish, secrets.token_hex(8))
