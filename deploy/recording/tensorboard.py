"""TensorBoard's files of a run, derived from its metrics.jsonl and evaluations.jsonl.

Tags are named as Stable-Baselines3 names them where it has the same number; the horizontal axis is trained steps.
"""

from __future__ import annotations

import json
import math
import time
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from ..records.run_folder import read_object
from .event_file import EventFile
from .tail import Position, Tail

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from ..records.run_folder import RunFolder

_STATE = "position.json"  # in the folder of the event files: up to where they were derived
_EACH_OF = 1000  # updates, which are all points of the curves; later ones are thinned out
_SPREAD = 1000  # points are further apart than this part of the run's time
_LEAST_S = 1.0  # between two points, once they are thinned out
_MOST_BYTES = 1 << 20  # read at a time, in some 20 ms
_TAGS = {
    "return_mean": "rollout/ep_rew_mean",
    "length_mean": "rollout/ep_len_mean",
    "win_rate": "rollout/success_rate",
    "steps_per_second": "time/fps",
    "seconds": "time/time_elapsed",
    "commit_ms": "time/commit_ms",
    "version": "train/n_updates",
    "policy_loss": "train/policy_gradient_loss",
    "kl": "train/approx_kl",
    "effective_rate": "train/learning_rate",
    "staleness_p50": "staleness/p50",
    "staleness_p95": "staleness/p95",
    "staleness_max": "staleness/max",
}
_NO_CURVE = {"epoch", "steps", "time", "games"}


class TensorBoardFiles:
    """Event files that follow the two files of a run's folder. They go on where those of an earlier process ended.

    If lines were dropped since, as of versions that were lost, the event files are derived anew.
    """

    def __init__(self, folder: RunFolder) -> None:
        self._folder = folder
        state = read_object(folder.tensorboard / _STATE)
        self._metrics = Tail(folder.metrics, _position(state, "metrics"))
        self._evaluations = Tail(folder.evaluations, _position(state, "evaluations"))
        self._points, self._last_s = int(state.get("points", 0)), float(state.get("seconds", 0.0))
        self._file: EventFile | None = None
        self._pending: dict[str, Any] | None = None  # the last update, if it is no point yet
        self._newest: dict[str, Any] = {}  # update, by which the time of an evaluation is known

    def update(self) -> bool:
        """Write what is new, up to a few thousand lines. Returns whether there may be more."""
        if self._metrics.is_rewritten or self._evaluations.is_rewritten:
            self._begin_again()
        updates = self._metrics.read(_MOST_BYTES)
        evaluations = self._evaluations.read(_MOST_BYTES)
        for line in updates:
            self._newest = line
            if self._is_due(line):
                self._write(line, dict(update_scalars(line)))
            else:
                self._pending = line
        for line in evaluations:
            self._write_evaluation(line)
        if updates or evaluations:
            self._save()
        return bool(updates or evaluations)

    def close(self) -> None:
        """Write all that is left, with the last update as the last point."""
        while self.update():
            pass
        if self._pending is not None:
            self._write(self._pending, dict(update_scalars(self._pending)))
            self._save()
        if self._file is not None:
            self._file.close()
            self._file = None

    def _is_due(self, line: Mapping[str, Any]) -> bool:
        seconds = float(line.get("seconds", 0.0))
        apart_s = seconds - self._last_s
        return self._points < _EACH_OF or not 0 <= apart_s < max(_LEAST_S, self._last_s / _SPREAD)

    def _write(self, line: Mapping[str, Any], scalars: Mapping[str, float]) -> None:
        self._open().scalars(scalars, int(line["steps"]), float(line["time"]))
        self._points, self._last_s = self._points + 1, float(line.get("seconds", 0.0))
        self._pending = None

    def _write_evaluation(self, line: Mapping[str, Any]) -> None:
        scalars = dict(evaluation_scalars(line))
        if "steps" in line and scalars:
            self._open().scalars(scalars, int(line["steps"]), self._time_of(line))

    def _time_of(self, evaluation: Mapping[str, Any]) -> float:
        """The wall time of an evaluation; where it has the run's seconds alone, by those of the newest update."""
        if "time" in evaluation:
            return float(evaluation["time"])
        if "time" not in self._newest:
            return time.time()
        ago_s = float(self._newest.get("seconds", 0.0)) - float(evaluation.get("seconds") or 0.0)
        return float(self._newest["time"]) - ago_s

    def _open(self) -> EventFile:
        if self._file is None:
            self._file = EventFile(self._folder.tensorboard)
        return self._file

    def _begin_again(self) -> None:
        """Derive all from the beginning. A TensorBoard that shows the old files is told that their points are void."""
        if self._file is not None:
            self._file.close()
        old = list(self._folder.tensorboard.glob("events.out.tfevents.*"))
        self._file = EventFile(self._folder.tensorboard)
        self._file.restart(0)
        for path in old:
            path.unlink(missing_ok=True)
        self._metrics, self._evaluations = Tail(self._folder.metrics), Tail(self._folder.evaluations)
        self._points, self._last_s, self._pending, self._newest = 0, 0.0, None, {}

    def _save(self) -> None:
        """Flush the points, then store up to where they were derived."""
        self._open().flush()
        state = {
            "metrics": asdict(self._metrics.position),
            "evaluations": asdict(self._evaluations.position),
            "points": self._points,
            "seconds": self._last_s,
        }
        path = self._folder.tensorboard / _STATE
        part = path.with_suffix(".part")
        part.write_text(json.dumps(state))
        part.replace(path)


def update_scalars(line: Mapping[str, Any]) -> Iterator[tuple[str, float]]:
    """The points of one line of metrics.jsonl: tags and values."""
    for name, value in line.items():
        if name == "metrics":
            yield from ((f"custom/{own}", mean) for own, mean in value.items() if _is_number(mean))
        elif name == "labels":
            yield from _label_scalars(value)
        elif name == "rejected":
            yield from ((f"rejected/{reason}", count) for reason, count in value.items())
        elif name == "entropy" and _is_number(value):
            yield "train/entropy_loss", -value  # as it stands in the loss
        elif _is_number(value) and name not in _NO_CURVE:
            yield _TAGS.get(name, f"train/{name}"), value


def _label_scalars(labels: Mapping[str, Mapping[str, Mapping[str, float | None]]]) -> Iterator[tuple[str, float]]:
    """Returns and wins by label, such as the map, and its value."""
    for label, values in labels.items():
        for value, found in values.items():
            for name, tag in (("return_mean", "ep_rew_mean"), ("win_rate", "success_rate")):
                if _is_number(number := found[name]) and number is not None:
                    yield f"by_{label}/{value}/{tag}", number


def evaluation_scalars(line: Mapping[str, Any]) -> Iterator[tuple[str, float]]:
    """The points of one line of evaluations.jsonl: tags and values."""
    if _is_number(line.get("mean")):
        yield "eval/mean_reward", line["mean"]
    if _is_number(line.get("std")):
        yield "eval/std_reward", line["std"]
    if _is_number(line.get("wins")) and line.get("episodes"):
        yield "eval/success_rate", line["wins"] / line["episodes"]
    for game, results in line.get("games", {}).items():  # of a game for two: against each of its players
        if _is_number(results.get("mean")):
            yield f"eval/mean_reward/{game}", results["mean"]


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _position(state: Mapping[str, Any], name: str) -> Position:
    try:
        return Position(**{key: int(value) for key, value in state[name].items()})
    except (AttributeError, KeyError, TypeError, ValueError):
        return Position()
