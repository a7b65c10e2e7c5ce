"""Checkpoints: the last versions of a run as local files, with everything that a learner needs to continue."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any

from ...common.errors import ConfigError, WireError
from ...common.process.atomic_file import PART, write_durably
from ...common.process.log import Log
from ...common.spec import READABLE, RunSpec
from ...common.wire import codec
from ...common.wire.weights import digest
from ..ledger.counters import Counters
from ..ledger.head import Head
from .run_snapshot import RunSnapshot

if TYPE_CHECKING:
    from pathlib import Path

_FORMAT = 1
_MAX_BYTES = 2 << 30
_COUNT_MAX = 2**53
_CHECKPOINT_FIELDS = {"format", "spec", "epoch", "version", "commit", "counters", "learner", "weights", "digest"}
_OPTIONAL = {"restore_point"}
_SUFFIX = ".msgpack"
_log = Log("learner")


class Checkpoints:
    """The last few versions as files. Each file is written atomically."""

    def __init__(self, folder: Path, kept: int = 3) -> None:
        self._folder, self._kept = folder, kept
        folder.mkdir(parents=True, exist_ok=True)

    def save(self, snapshot: RunSnapshot, spec: RunSpec) -> Path:
        """Write a checkpoint, flush it to disk before it gets its name, and delete the oldest checkpoints."""
        fields: dict[str, Any] = {
            "format": _FORMAT,
            "spec": spec.to_json(),
            "epoch": snapshot.head.epoch,
            "version": snapshot.head.version,
            "commit": snapshot.head.commit,
            "counters": snapshot.counters.to_fields(),
            "learner": snapshot.learner,
            "weights": snapshot.weights,
            "digest": digest(snapshot.learner + snapshot.weights + snapshot.restore_point),
            **({"restore_point": snapshot.restore_point} if snapshot.restore_point else {}),
        }
        for leftover in self._folder.glob(f".checkpoint-*{PART}"):  # of a learner that was killed while writing
            leftover.unlink(missing_ok=True)
        path = self._folder / f"checkpoint-{snapshot.head.epoch:04}-{snapshot.head.version:09}{_SUFFIX}"
        self._delete_old()  # also before: a learner that is killed after the rename leaves one too many
        write_durably(path, codec.encode(fields))
        self._delete_old()
        return path

    def newest(self, spec: RunSpec) -> RunSnapshot | None:
        """The newest readable checkpoint; None if there is no checkpoint.

        Raises:
            ConfigError: if it is of another spec, or if there are checkpoints and all are damaged: a run must not start
                again from nothing because its disk fails.
        """
        damaged: ConfigError | None = None
        for path in reversed(self._paths()):
            try:
                snapshot, theirs = read_checkpoint(path)
            except ConfigError as error:
                _log.warning("checkpoint not readable, trying an older one", error=error)
                damaged = damaged or error
                continue
            if theirs != spec:
                raise ConfigError(f"checkpoint {path}: of another run's spec, expected {spec.to_json()}")
            return snapshot
        if damaged is not None:
            raise damaged
        return None

    def _delete_old(self) -> None:
        for old in self._paths()[: -self._kept]:
            old.unlink(missing_ok=True)

    def _paths(self) -> list[Path]:
        return sorted(self._folder.glob(f"checkpoint-*{_SUFFIX}"))


def newest_spec(folder: Path) -> RunSpec | None:
    """The spec of the run in a folder of checkpoints, of the newest that is readable; None if there is none."""
    for path in sorted(folder.glob(f"checkpoint-*{_SUFFIX}"), reverse=True):
        with suppress(ConfigError):
            return read_checkpoint(path)[1]
    return None


def read_checkpoint(path: Path) -> tuple[RunSnapshot, RunSpec]:
    """The contents of a checkpoint file. Raises ConfigError, naming the file, if it is not a checkpoint."""
    try:
        fields = codec.decode(path.read_bytes(), max_bytes=_MAX_BYTES)
        codec.check_fields(fields, _CHECKPOINT_FIELDS | (_OPTIONAL & fields.keys()))
        codec.take_int(fields, "format", _FORMAT, _FORMAT)
        epoch, version = (codec.take_int(fields, name, 0, _COUNT_MAX) for name in ("epoch", "version"))
        head = Head(epoch, version, codec.take_text(fields, "commit"))
        blobs = [codec.take_bytes(fields, name) for name in ("learner", "weights", "restore_point") if name in fields]
        if digest(b"".join(blobs)) != codec.take_text(fields, "digest"):
            raise ConfigError(f"checkpoint {path}: damaged, expected blobs of digest {fields['digest']!r:.80}")
        return RunSnapshot(head, Counters.from_fields(fields["counters"]), *blobs), RunSpec.from_json(
            codec.take_text(fields, "spec"), formats=READABLE
        )
    except (OSError, WireError, AttributeError, TypeError, ValueError, OverflowError) as error:
        raise ConfigError(f"checkpoint {path}: {error}, expected a file written by a broodmind learner") from error
