"""A run's folder: where the files of its record are, and how they are read."""

from __future__ import annotations

import json
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ...common.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

BEST, LAST = "best", "last"
_TAIL_BYTES = 1 << 16  # many lines
_CHECKPOINTS = "checkpoint-*.msgpack"  # the names rise with the epoch, and in it with the version


@dataclass(frozen=True, slots=True)
class RunFolder:
    """The paths of a run's record by name. None of the files need exist."""

    path: Path

    @property
    def config(self) -> Path:
        """The effective configuration, which `--config` reads."""
        return self.path / "config.toml"

    @property
    def about(self) -> Path:
        """JSON: run, game, algorithm, seed, and the starts of the run with the versions of the software."""
        return self.path / "run.json"

    @property
    def metrics(self) -> Path:
        """Lines of JSON: one for each update; of a long run, for some of them."""
        return self.path / "metrics.jsonl"

    @property
    def evaluations(self) -> Path:
        """Lines of JSON: one for each evaluation while training."""
        return self.path / "evaluations.jsonl"

    @property
    def summary(self) -> Path:
        """JSON: how the last start ended."""
        return self.path / "summary.json"

    @property
    def curve(self) -> Path:
        """The learning curve as a picture."""
        return self.path / "curve.png"

    @property
    def tensorboard(self) -> Path:
        """The folder of TensorBoard's event files."""
        return self.path / "tensorboard"

    @property
    def checkpoints(self) -> Path:
        """The folder of the last checkpoints."""
        return self.path / "checkpoints"

    @property
    def best(self) -> Path:
        """The folder of the best checkpoint, by evaluation."""
        return self.path / "best"

    @property
    def about_best(self) -> Path:
        """JSON: version and steps of the best checkpoint, and the evaluation that it was chosen by."""
        return self.best / "best.json"

    def log(self, process: str) -> Path:
        """The log of one of the run's processes."""
        return self.path / f"{process}.log"

    def remove_logs(self) -> None:
        """Remove the logs of all of the run's processes."""
        for path in self.path.glob("*.log"):
            path.unlink(missing_ok=True)

    @property
    def is_run(self) -> bool:
        """Whether the folder has a record of a run."""
        return any(path.exists() for path in (self.about, self.metrics, self.checkpoints, self.best))

    def best_checkpoint(self) -> Path | None:
        """The best checkpoint; None if no version was chosen."""
        return next(iter(reversed(checkpoints_in(self.best))), None)

    def last_checkpoint(self) -> Path | None:
        """The newest checkpoint; None if there is none."""
        return next(iter(reversed(checkpoints_in(self.checkpoints))), None)

    def checkpoint(self, version: str | int | None = None) -> Path:
        """The path of one checkpoint.

        Args:
            version: best, last, or the number of a version that was kept; None: the best if there is one, else the
                last.

        Raises:
            ConfigError: naming the version, if it is not in the folder.
        """
        best, last = self.best_checkpoint(), self.last_checkpoint()
        if version is None:
            found = best or last
        elif version in {BEST, LAST}:
            found = best if version == BEST else last
        else:
            kept = [*checkpoints_in(self.best), *checkpoints_in(self.checkpoints)]
            found = next((path for path in reversed(kept) if _version(path) == str(version)), None)
        if found is not None:
            return found
        kept = [*checkpoints_in(self.best), *checkpoints_in(self.checkpoints)]
        if not kept:
            raise ConfigError(
                f"path: {str(self.path)!r}, expected a checkpoint file, or a run's folder with checkpoints"
            )
        versions = ", ".join(dict.fromkeys(_version(path) for path in kept))
        choices = ", ".join([*([BEST] if best else []), *([LAST] if last else []), versions])
        raise ConfigError(f"version: {version!r}, expected one that {self.path} has: {choices}")


def checkpoints_in(folder: Path) -> list[Path]:
    """The checkpoint files in a folder, the newest last."""
    return sorted(folder.glob(_CHECKPOINTS))


def head_of(checkpoint: Path) -> tuple[int, int]:
    """Epoch and version of a checkpoint, as its name has them."""
    _, epoch, version = checkpoint.stem.split("-")
    return int(epoch), int(version)


def policy_file(path: Path, version: str | int | None = None) -> Path:
    """The file that a path stands for: itself, or a checkpoint in it. Raises ConfigError."""
    if not path.is_dir():
        if version is not None:
            raise ConfigError(f"version: {version!r} with the file {path}, expected a run's folder to choose it from")
        return path
    folder, inside = RunFolder(path), checkpoints_in(path)
    if inside and not folder.is_run and version is None:  # the folder of a learner's --checkpoint-dir
        return inside[-1]
    return folder.checkpoint(version)


def read_lines(path: Path) -> list[dict[str, Any]]:
    """The objects in a file of lines of JSON; none if there is no such file.

    A last line that was cut off while it was written, and any other line that is no JSON object, is left out.
    """
    try:
        with path.open("rb") as file:
            return list(_objects(file))
    except FileNotFoundError:
        return []


def last_line(path: Path) -> dict[str, Any]:
    """The last object in a file of lines of JSON, without reading all of it; empty if there is none."""
    try:
        with path.open("rb") as file:
            size = file.seek(0, 2)
            file.seek(max(0, size - _TAIL_BYTES))
            return next(iter(deque(_objects(file), maxlen=1)), {})
    except FileNotFoundError:
        return {}


def read_object(path: Path) -> dict[str, Any]:
    """The JSON object in a file; empty if there is no such file or it has no object."""
    try:
        found = json.loads(path.read_bytes())
    except (FileNotFoundError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _objects(lines: Iterable[bytes]) -> Iterator[dict[str, Any]]:
    for line in lines:
        try:
            found = json.loads(line)
        except ValueError:
            continue
        if isinstance(found, dict):
            yield found


def _version(path: Path) -> str:
    return str(head_of(path)[1])
