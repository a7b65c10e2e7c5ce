"""Keeps the metrics of a run in its folder, on behalf of the learner; and has the start recorded, once it has begun."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ...common.process.log import Log
from .evaluations_file import EvaluationsFile
from .metrics_file import MetricsFile

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ...common.spec import RunSpec
    from ...learner.ledger.head import Head
    from ...learner.persistence.run_snapshot import RunSnapshot
    from ..records.run_folder import RunFolder

_log = Log("record")


class RunRecorder:
    """A `Recorder` of one learner process.

    Args:
        folder: of the run.
        on_start: called with the steps trained before, once this process is the run's learner; None: nobody is told.
        evaluates: whether clients' games evaluate the run's versions. Otherwise, an evaluator may.
    """

    def __init__(
        self, folder: RunFolder, on_start: Callable[[int], None] | None = None, *, evaluates: bool = False
    ) -> None:
        self._metrics = MetricsFile(folder.metrics)
        self._evaluations = EvaluationsFile(folder) if evaluates else None
        self._on_start = on_start

    def opened(self, head: Head, steps: int) -> None:
        """See Recorder."""
        self._metrics.resume(head.epoch, head.version)
        if self._evaluations is not None:
            self._evaluations.resume(head.epoch, head.version)
        on_start, self._on_start = self._on_start, None
        if on_start is not None:
            try:
                on_start(steps)
            except OSError as error:  # the run goes on without
                _log.warning("start not recorded", error=error)

    def updated(self, update: Mapping[str, Any]) -> None:
        """See Recorder."""
        self._metrics.append(update)

    def evaluated(self, evaluation: Mapping[str, Any], best: tuple[RunSnapshot, RunSpec] | None) -> None:
        """See Recorder."""
        if self._evaluations is not None:
            self._evaluations.add(evaluation, self._metrics.seconds, best)

    def best_weights(self) -> bytes | None:
        """See Recorder."""
        return None if self._evaluations is None else self._evaluations.best_weights()

    def close(self) -> None:
        """Close the file."""
        self._metrics.close()
