"""What a learner tells of its work to whoever keeps the run's record outside of Redis."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ..ledger.head import Head


class Recorder(Protocol):
    """Keeps the record of a run. It must not raise for a full disk and the like: the run goes on without a record."""

    def opened(self, head: Head, steps: int) -> None:
        """A session has taken the lease, and the run goes on from here. What was recorded of later versions is lost.

        Args:
            head: from which the run goes on; of version 0 for a new run.
            steps: trained until then.
        """

    def updated(self, update: Mapping[str, Any]) -> None:
        """An update has been committed. Called in the commit thread; it is JSON, whose numbers are finite.

        After a commit whose reply was lost it is not called, whether that commit has succeeded or not.
        """
