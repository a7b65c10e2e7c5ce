"""Snapshots: what a learner stores for its successor, in Redis with every commit and now and then in a file."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from operator import index
from typing import TYPE_CHECKING, Any

from ...common.errors import LineageLost, WireError
from ...common.wire import codec
from ...common.wire.weights import decode_weights, digest
from ..ledger.counters import Counters
from ..ledger.head import Head

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ...common.policy.network import Params
    from ...common.server.keys import Keys
    from ...common.server.streams import Server
    from ...common.spec import RunSpec
    from ..ledger.head import Lineage
    from ..ledger.stream_entry import Cursors

_FORMAT = 1
_MAX_BYTES = 2 << 30
_MAX_ITEMS = 1 << 16  # cursors: one an actor
_READS = 10  # of a run that commits so fast that its versions are deleted before they are read
_FIELDS = {"format", "commit", "trainer", "history", "cursors", "lineage"}
_OPTIONAL = {"evaluations", "collapse"}


@dataclass(frozen=True, slots=True)
class LearnerState:
    """The part of a snapshot that only a learner needs. Arrays may be in the codec's encoded form."""

    trainer: dict[str, Any]
    history: dict[str, Any]
    cursors: Cursors
    lineage: Lineage
    # Actor to the games that it has given up since the incarnation of its cursor began; none where it is missing.
    given_up: dict[str, int] = field(default_factory=dict)
    evaluations: dict[str, Any] = field(default_factory=dict)  # by greedy games; empty where there were none
    collapse: dict[str, Any] = field(default_factory=dict)  # what the return has been; empty where nobody looks


@dataclass(frozen=True, slots=True)
class RunSnapshot:
    """The state of a run after one commit, to be stored or resumed. `head` is the head after this commit."""

    head: Head
    counters: Counters
    learner: bytes
    weights: bytes
    restore_point: bytes = b""  # learner/run/restore_point.py; empty where nothing is kept, or nobody needs it

    def params(self, spec: RunSpec) -> Params:
        """The parameters of the last version."""
        return decode_weights(self.weights, digest(self.weights), spec)

    def learner_state(self) -> LearnerState:
        """The state that a successor needs besides the parameters.

        Raises:
            WireError: if it was not written by a learner of this version. LineageLost: if it is of another commit.
        """
        fields = self._fields()
        with expect_learner_state():
            raw = fields["cursors"]
            cursors = {actor: (index(left), index(right)) for actor, (left, right, *_) in raw.items()}
            given_up = {actor: index(each[2]) for actor, each in raw.items() if len(each) > 2}
            lineage = {index(version): str(commit) for version, commit in fields["lineage"]}
            evaluations = fields.get("evaluations", {})
            collapse = fields.get("collapse", {})
            return LearnerState(
                *(fields["trainer"], fields["history"], cursors, lineage, given_up, evaluations, collapse)
            )

    def trainer_state(self) -> dict[str, Any]:
        """The trainer's state besides the parameters. Arrays are in the codec's encoded form."""
        state: dict[str, Any] = self._fields()["trainer"]
        return state

    def _fields(self) -> dict[str, Any]:
        fields = codec.decode(self.learner, max_bytes=_MAX_BYTES, max_list=_MAX_ITEMS, max_map=_MAX_ITEMS)
        codec.check_fields(fields, _FIELDS | (_OPTIONAL & fields.keys()))
        codec.take_int(fields, "format", _FORMAT, _FORMAT)
        if codec.take_text(fields, "commit") != self.head.commit:
            raise LineageLost(f"learner state: of commit {fields['commit']}, expected {self.head.commit}")
        return fields


def encode_learner(head: Head, state: LearnerState) -> bytes:
    """Encode the value of the key `learner`."""
    return codec.encode(
        {
            "format": _FORMAT,
            "commit": head.commit,
            "trainer": state.trainer,
            "history": state.history,
            "cursors": {
                actor: [*entry_id, *([state.given_up[actor]] if state.given_up.get(actor) else [])]
                for actor, entry_id in state.cursors.items()
            },
            "lineage": [list(version) for version in state.lineage.items()],
            **({"evaluations": state.evaluations} if state.evaluations else {}),
            **({"collapse": state.collapse} if state.collapse else {}),
        }
    )


@contextmanager
def expect_learner_state() -> Iterator[None]:
    """Raise WireError for errors in the format of a learner's state. What was restored by then may not be used."""
    try:
        yield
    except (AttributeError, KeyError, TypeError, ValueError, OverflowError) as error:
        raise WireError(f"learner state: {error!r}, expected what a learner of this version wrote") from error


def load_snapshot(server: Server, keys: Keys) -> RunSnapshot | None:
    """Load the run's snapshot from Redis; None if there is none.

    The result is consistent only for the lease's holder, because others may commit between two of the reads.

    Raises:
        LineageLost: if there is a head, but not its weights or its learner state.
    """
    raw: list[bytes] = server.call("HGETALL", keys.head)
    if not raw:
        return None
    restore_point = server.call("GET", keys.restore_point) or b""
    return replace(_snapshot(server, keys, raw, server.call("GET", keys.learner)), restore_point=restore_point)


def read_snapshot(server: Server, keys: Keys) -> RunSnapshot | None:
    """Like `load_snapshot`, for those who do not hold the lease: all of the result is of one commit.

    It has no restore point.
    """
    for left in reversed(range(_READS)):
        *_, replies = server.pipeline([("MULTI",), ("HGETALL", keys.head), ("GET", keys.learner), ("EXEC",)])
        for reply in replies:
            if isinstance(reply, Exception):
                raise reply
        raw, learner = replies
        try:
            return _snapshot(server, keys, raw, learner) if raw else None
        except LineageLost:  # commits have deleted the version meanwhile
            if not left:
                raise
    raise AssertionError("the last read returns or raises")


def _snapshot(server: Server, keys: Keys, raw: list[bytes], learner: bytes | None) -> RunSnapshot:
    fields = {name.decode(): value.decode() for name, value in zip(raw[::2], raw[1::2], strict=True)}
    head = Head(int(fields["epoch"]), int(fields["version"]), fields["commit"])
    weights = server.call("GET", keys.weights(head.epoch, head.version))
    if learner is None or weights is None:
        missing = keys.learner if learner is None else keys.weights(head.epoch, head.version)
        raise LineageLost(f"{missing}: missing, expected what version {head.version} was committed with")
    return RunSnapshot(head, Counters.from_fields(fields), learner, weights)


def committed_on(server: Server, keys: Keys) -> str:
    """The id of the server process that executed the head's commit. Another process may lack newer commits."""
    return (server.call("HGET", keys.head, "server") or b"").decode()
