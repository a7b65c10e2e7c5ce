"""What a learner leaves for its successor: in Redis with every commit, and now and then in a local file."""

from __future__ import annotations

from dataclasses import dataclass
from operator import index
from typing import TYPE_CHECKING, Any

from ..common import wire
from ..common.errors import ConfigError, LineageLost, WireError
from ..common.log import Log
from ..common.spec import RunSpec
from ..common.weights import decode_weights, digest
from .commit import Head
from .counters import Counters
from .durable import PART, write_durably

if TYPE_CHECKING:
    from pathlib import Path

    from ..common.keys import Keys
    from ..common.network import Params
    from ..common.streams import Server
    from .history import History
    from .intake import Cursors, Lineage
    from .trainer import Trainer

_FORMAT = 1
_MAX_BYTES = 2 << 30
_MAX_ITEMS = 1 << 16  # cursors: one an actor
_COUNT_MAX = 2**53
_FIELDS = {"format", "commit", "trainer", "history", "cursors", "lineage"}
_CHECKPOINT_FIELDS = {"format", "spec", "epoch", "version", "commit", "counters", "learner", "weights", "digest"}
_SUFFIX = ".msgpack"
_log = Log("learner")


@dataclass(frozen=True, slots=True)
class Stored:
    """A run as its last commit left it."""

    head: Head
    counters: Counters
    learner: bytes
    weights: bytes

    def params(self, spec: RunSpec) -> Params:
        """The parameters of the last version."""
        return decode_weights(self.weights, digest(self.weights), spec)

    def restore(self, spec: RunSpec, trainer: Trainer, history: History) -> tuple[Cursors, Lineage]:
        """Put trainer and history where they were at that commit; returns cursors and lineage.

        Raises:
            WireError: if the state is not what a learner of this version wrote; nothing restored may be used then.
            LineageLost: if it is of another commit. ConfigError: if it is of another algorithm.
        """
        fields, params = self._fields(), self.params(spec)
        try:
            trainer.restore(params, fields["trainer"])
            history.restore(fields["history"])
            cursors = {actor: (index(left), index(right)) for actor, (left, right) in fields["cursors"].items()}
            return cursors, {index(version): str(commit) for version, commit in fields["lineage"]}
        except (AttributeError, KeyError, TypeError, ValueError, OverflowError) as error:
            raise WireError(f"learner state: {error!r}, expected what a learner of this version wrote") from error

    def trainer_state(self) -> dict[str, Any]:
        """What the trainer had besides the parameters, arrays as they travel."""
        state: dict[str, Any] = self._fields()["trainer"]
        return state

    def _fields(self) -> dict[str, Any]:
        fields = wire.decode(self.learner, max_bytes=_MAX_BYTES, max_list=_MAX_ITEMS, max_map=_MAX_ITEMS)
        wire.check_fields(fields, _FIELDS)
        wire.take_int(fields, "format", _FORMAT, _FORMAT)
        if wire.take_text(fields, "commit") != self.head.commit:
            raise LineageLost(f"learner state: of commit {fields['commit']}, expected {self.head.commit}")
        return fields


def encode_learner(head: Head, trainer: Trainer, history: History, cursors: Cursors, lineage: Lineage) -> bytes:
    """The blob of the key `learner`."""
    return wire.encode(
        {
            "format": _FORMAT,
            "commit": head.commit,
            "trainer": trainer.state(),
            "history": history.state(),
            "cursors": {actor: list(entry_id) for actor, entry_id in cursors.items()},
            "lineage": [list(version) for version in lineage.items()],
        }
    )


def load(server: Server, keys: Keys) -> Stored | None:
    """What Redis holds of the run, or None where it holds nothing. Only the lease's holder gets a consistent answer."""
    raw: list[bytes] = server.call("HGETALL", keys.head)
    if not raw:
        return None
    fields = {name.decode(): value.decode() for name, value in zip(raw[::2], raw[1::2], strict=True)}
    head = Head(int(fields["epoch"]), int(fields["version"]), fields["commit"])
    learner, weights = server.call("GET", keys.learner), server.call("GET", keys.weights(head.epoch, head.version))
    if learner is None or weights is None:
        missing = keys.learner if learner is None else keys.weights(head.epoch, head.version)
        raise LineageLost(f"{missing}: missing, expected what version {head.version} was committed with")
    return Stored(head, Counters.from_fields(fields), learner, weights)


def committed_on(server: Server, keys: Keys) -> str:
    """The server process that took the head's commit; another one may have come back without the newest."""
    return (server.call("HGET", keys.head, "server") or b"").decode()


def agree_on_spec(server: Server, keys: Keys, spec: RunSpec) -> None:
    """Write the run's spec, or hold ours against the one there. Raises ConfigError where they differ."""
    raw = server.call("HGET", keys.spec, "json")
    if raw is None:
        server.call("HSET", keys.spec, "json", spec.to_json(), "digest", spec.digest)
        return
    theirs = RunSpec.from_json(raw)
    for part in ("game", "network", "rollout", "seed"):
        if getattr(theirs, part) != getattr(spec, part):
            raise ConfigError(
                f"{part} of run {keys.run}: {getattr(spec, part)}, expected {getattr(theirs, part)} as the run was "
                "started with; choose another --run name for other settings"
            )


class Checkpoints:
    """The last few versions as files, each written whole or not at all."""

    def __init__(self, folder: Path, kept: int = 3) -> None:
        self._folder, self._kept = folder, kept
        folder.mkdir(parents=True, exist_ok=True)

    def save(self, stored: Stored, spec: RunSpec) -> Path:
        """Write a checkpoint, flushed to disk before it gets its name, and delete the oldest."""
        fields: dict[str, Any] = {
            "format": _FORMAT,
            "spec": spec.to_json(),
            "epoch": stored.head.epoch,
            "version": stored.head.version,
            "commit": stored.head.commit,
            "counters": stored.counters.to_fields(),
            "learner": stored.learner,
            "weights": stored.weights,
            "digest": digest(stored.learner + stored.weights),
        }
        for leftover in self._folder.glob(f".checkpoint-*{PART}"):  # of a learner that was killed while writing
            leftover.unlink(missing_ok=True)
        path = self._folder / f"checkpoint-{stored.head.epoch:04}-{stored.head.version:09}{_SUFFIX}"
        self._delete_old()  # first too: a learner killed after each rename would leave one more each time
        write_durably(path, wire.encode(fields))
        self._delete_old()
        return path

    def newest(self, spec: RunSpec) -> Stored | None:
        """The newest checkpoint that is whole, or None where there is none at all.

        Raises:
            ConfigError: if it is of another spec, or if there are some and none is whole: a run should not start anew
                because its disk fails.
        """
        damaged: ConfigError | None = None
        for path in reversed(self._paths()):
            try:
                stored, theirs = read_checkpoint(path)
            except ConfigError as error:
                _log.warning("checkpoint passed over", error=error)
                damaged = damaged or error
                continue
            if theirs != spec:
                raise ConfigError(f"checkpoint {path}: of another run's spec, expected {spec.to_json()}")
            return stored
        if damaged is not None:
            raise damaged
        return None

    def _delete_old(self) -> None:
        for old in self._paths()[: -self._kept]:
            old.unlink(missing_ok=True)

    def _paths(self) -> list[Path]:
        return sorted(self._folder.glob(f"checkpoint-*{_SUFFIX}"))


def read_checkpoint(path: Path) -> tuple[Stored, RunSpec]:
    """A checkpoint file's content. Raises ConfigError, naming the file, where it is none."""
    try:
        fields = wire.decode(path.read_bytes(), max_bytes=_MAX_BYTES)
        wire.check_fields(fields, _CHECKPOINT_FIELDS)
        wire.take_int(fields, "format", _FORMAT, _FORMAT)
        epoch, version = (wire.take_int(fields, name, 0, _COUNT_MAX) for name in ("epoch", "version"))
        head = Head(epoch, version, wire.take_text(fields, "commit"))
        blobs = wire.take_bytes(fields, "learner"), wire.take_bytes(fields, "weights")
        if digest(b"".join(blobs)) != wire.take_text(fields, "digest"):
            raise ConfigError(f"checkpoint {path}: damaged, expected blobs of digest {fields['digest']!r:.80}")
        return Stored(head, Counters.from_fields(fields["counters"]), *blobs), RunSpec.from_json(
            wire.take_text(fields, "spec")
        )
    except (OSError, WireError, AttributeError, TypeError, ValueError, OverflowError) as error:
        raise ConfigError(f"checkpoint {path}: {error}, expected a file written by a broodmind learner") from error
