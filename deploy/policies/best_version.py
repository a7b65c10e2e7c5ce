"""The best version of a run: evaluations while training, one line each, and the checkpoint of the best of them."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any

from ...common.process.atomic_file import write_durably
from ...common.process.clock import now_ms
from ...learner.persistence.checkpoints import Checkpoints
from ..records.run_folder import last_line, read_lines, read_object
from ..records.version_lines import committed_at

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ...common.spec import RunSpec
    from ...learner.persistence.run_snapshot import RunSnapshot
    from ..records.run_folder import RunFolder
    from .evaluation import Evaluation


class BestVersion:
    """The record of a run's evaluations, and its best version. For one process at a time."""

    def __init__(self, folder: RunFolder) -> None:
        self._folder = folder
        folder.path.mkdir(parents=True, exist_ok=True)
        evaluation: Any = read_object(folder.about_best).get("evaluation")
        mean = evaluation.get("mean") if isinstance(evaluation, dict) and folder.best_checkpoint() else None
        self._mean: float = -math.inf if mean is None else mean
        last = last_line(folder.evaluations)
        self._last = (last.get("epoch"), last.get("version"))

    def is_evaluated(self, snapshot: RunSnapshot) -> bool:
        """Whether the newest evaluation is of this version."""
        return self._last == (snapshot.head.epoch, snapshot.head.version)

    def forget_lost(self, epoch: int, steps: int) -> None:
        """Drop the evaluations of versions that were lost: those of earlier epochs, after the steps that remained.

        A lost version that was the best stays in best/, because its checkpoint is there.
        """
        lines = read_lines(self._folder.evaluations)
        kept = [line for line in lines if line.get("epoch", 0) >= epoch or line.get("steps", 0) <= steps]
        if len(kept) < len(lines):
            write_durably(self._folder.evaluations, b"".join(map(_line, kept)))

    def add(self, snapshot: RunSnapshot, spec: RunSpec, evaluations: Mapping[str, Evaluation]) -> bool:
        """Record evaluations, done now, of a version. Returns whether it is the best one; of equal ones the newest is.

        Args:
            snapshot: the run's state with this version, of which a checkpoint is made if it is the best.
            spec: the run's.
            evaluations: by game; several of a two-player game, which count by the mean of their means.
        """
        line = {
            "version": snapshot.head.version,
            "epoch": snapshot.head.epoch,
            "steps": snapshot.counters.steps,
            "time": now_ms() / 1000,
            "seconds": last_line(self._folder.metrics).get("seconds"),
            **committed_at(self._folder.metrics, snapshot.head.epoch, snapshot.head.version),
            **_results(evaluations),
        }
        with self._folder.evaluations.open("ab") as file:
            file.write(_line(line))
        self._last = (snapshot.head.epoch, snapshot.head.version)
        mean = line["mean"]
        if mean is None or mean < self._mean:
            return False
        self._mean = mean
        Checkpoints(self._folder.best, kept=1).save(snapshot, spec)
        about = {name: line[name] for name in ("version", "epoch", "steps")} | {"evaluation": line}
        write_durably(self._folder.about_best, json.dumps(about, indent=2).encode() + b"\n")
        return True


def _results(evaluations: Mapping[str, Evaluation]) -> dict[str, Any]:
    found = {name: each.to_json() for name, each in evaluations.items()}
    first = next(iter(found.values()))
    wins = [each.wins for each in evaluations.values() if each.wins is not None]
    means = [each["mean"] for each in found.values()]
    return {
        "mean": None if None in means else sum(means) / len(means),
        "std": first["std"],
        "episodes": sum(each.episodes for each in evaluations.values()),
        "wins": sum(wins) if wins else None,
        **({"games": found} if len(found) > 1 else {}),
    }


def _line(fields: Mapping[str, Any]) -> bytes:
    return json.dumps(fields).encode() + b"\n"
