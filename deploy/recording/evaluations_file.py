"""evaluations.jsonl and best/ of a run whose versions clients' greedy games evaluate; its learner writes them."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

from ...common.errors import ConfigError
from ...common.process.atomic_file import write_durably
from ...common.process.log import Log
from ..records.version_lines import committed_at, lines_until

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ...common.spec import RunSpec
    from ...learner.persistence.run_snapshot import RunSnapshot
    from ..records.run_folder import RunFolder

_log = Log("record")


class EvaluationsFile:
    """The evaluations of one run. What cannot be written is missing from the record, and the run continues."""

    def __init__(self, folder: RunFolder) -> None:
        self._folder = folder

    def resume(self, epoch: int, version: int) -> None:
        """Go on after a version. The lines of later versions, which are lost, are dropped."""
        try:
            with self._folder.evaluations.open("ab+") as file:
                size, _ = lines_until(file, epoch, version)
                file.truncate(size)
        except OSError as error:
            _log.warning("evaluations not written", file=self._folder.evaluations, error=error)

    def add(self, evaluation: Mapping[str, Any], seconds: float, best: tuple[RunSnapshot, RunSpec] | None) -> None:
        """Add the evaluation of a version, which is done now, and keep the version if it is the best one.

        Args:
            evaluation: the fields of its line.
            seconds: of training until now, of all starts of the run together.
            best: the run's state with that version, and the run's spec; None if it is not the best.
        """
        done = {"time": round(time.time(), 3), "seconds": round(seconds, 3)}
        committed = committed_at(self._folder.metrics, evaluation["epoch"], evaluation["version"])
        line = {**evaluation, **done, **committed}
        try:
            with self._folder.evaluations.open("ab") as file:
                file.write(json.dumps(line, allow_nan=False).encode() + b"\n")
            if best is not None:
                from ...learner.persistence.checkpoints import Checkpoints  # needs numpy, which `--help` does not

                Checkpoints(self._folder.best, kept=1).save(*best)
                about = {name: line[name] for name in ("version", "epoch", "steps")} | {"evaluation": line}
                write_durably(self._folder.about_best, json.dumps(about, indent=2).encode() + b"\n")
        except OSError as error:
            _log.warning("evaluation not written", file=self._folder.evaluations, error=error)

    def best_weights(self) -> bytes | None:
        """The encoded weights of the best version; None if they are not there, or cannot be read."""
        from ...learner.persistence.checkpoints import read_checkpoint

        path = self._folder.best_checkpoint()
        try:
            return None if path is None else read_checkpoint(path)[0].weights
        except ConfigError as error:
            _log.warning("best checkpoint not readable", error=error)
            return None
