"""What a learner tells of its work to whoever keeps the run's record outside of Redis."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ...common.spec import RunSpec
    from ..ledger.head import Head
    from .run_snapshot import RunSnapshot


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

    def evaluated(self, evaluation: Mapping[str, Any], best: tuple[RunSnapshot, RunSpec] | None) -> None:
        """A version has been evaluated by greedy games of clients. Called like `updated`.

        Args:
            evaluation: version, epoch, steps, mean, std, episodes and wins.
            best: the run's state with that version, and the run's spec, if it is the best so far.
        """

    def best_weights(self) -> bytes | None:
        """The encoded weights of the best version that `evaluated` was told of; None if they are not there."""
