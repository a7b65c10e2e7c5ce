"""The commit: one script that changes the run from one state to the next, or changes nothing."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from importlib.resources import files
from typing import TYPE_CHECKING, Any

import msgpack

from ...common.errors import LineageLost
from ...common.server.keys import GROUP
from ...common.server.streams import ReplyError, Script, ServerFull, format_id
from ...common.wire.weights import Pointer, digest
from .lease import fenced

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ...common.server.keys import Keys
    from ...common.server.streams import Argument, Server
    from ...common.wire.evaluation_plan import EvaluationPlan
    from ..ledger.head import Head
    from ..ledger.stream_entry import EntryId
    from .lease import Lease

COMMIT_SCRIPT = Script(files(__package__).joinpath("commit.lua").read_text())
_STAGE = Script(files(__package__).joinpath("stage.lua").read_text())
WEIGHTS_KEPT = 8  # versions, so that an actor that has just read the pointer still finds the weights
VERSIONS_KEPT = 1000  # entries of the versions stream
REJECTED_KEPT = 1000  # entries of the rejected stream
LEDGER_KEPT = 10_000  # entries of the ledger, about 5 MB
_STREAMS_KEPT = 1_000_000  # streams named in all ledger entries, about 40 MB: with many streams, fewer entries are kept
_STAGED_TTL_MS = 60_000  # if a learner dies between staging and commit, its blobs expire after this


@dataclass(frozen=True, slots=True)
class PlanChange:
    """The plan for greedy games after a commit."""

    plan: EvaluationPlan  # a candidate of the commit's own version has no digest yet
    new_candidate: bool = False  # the head's version is the candidate from now on
    new_best: bool = False  # the candidate before is the best from now on


@dataclass(frozen=True, slots=True)
class Commit:
    """The contents of one commit, which changes the run from `parent` to `head`.

    A commit is built once, and may be sent several times: the script recognises it by its id.
    """

    parent: Head
    head: Head
    learner: bytes  # the encoded state that a successor needs besides the weights
    weights: bytes | None  # None: the commit consumes entries and publishes no version
    counters: Mapping[str, int]  # into the head
    stats: Mapping[str, Argument]
    entry: Mapping[str, Argument]  # into the versions stream
    consumed: Mapping[str, tuple[EntryId, int]]  # actor to its last consumed id, and the number of entries consumed
    rejected_ids: Mapping[str, Mapping[str, str]] = field(default_factory=dict)  # reason to actor to ranges of ids
    gaps: Mapping[str, str] = field(default_factory=dict)  # actor to ranges of ids that were never sent
    rejected_entries: Sequence[Mapping[str, Argument]] = field(default_factory=tuple)  # for the stream `rejected`
    evaluations: Mapping[str, str] = field(default_factory=dict)  # actor to ranges of ids that are not to be trained on
    plan: PlanChange | None = None  # for greedy games; None: nothing is written
    restore_point: bytes | None = None  # None: nothing is written


def send(server: Server, keys: Keys, lease: Lease, commit: Commit, ledger_kept: int = LEDGER_KEPT) -> None:
    """Stage the blobs, then run the script.

    May be called again with the same commit after a lost connection: a commit that has succeeded is not repeated.

    Args:
        server: the connection to send it over.
        keys: of the run.
        lease: the lease of this learner.
        commit: what to write.
        ledger_kept: the largest number of ledger entries to keep; see `ledger_entries_kept`.

    Raises:
        LeaseLost: if this learner does not hold the lease any more.
        LineageLost: if the run in Redis is not in the state after this commit's parent.
    """
    staged_learner = keys.staged("learner", commit.head.commit)
    staged_weights = keys.staged("weights", commit.head.commit)
    staged_restore_point = keys.staged("restore_point", commit.head.commit)
    script_keys = [
        *(keys.lease, keys.head, keys.latest, keys.versions, keys.learner, keys.stats, keys.rejected),
        *(staged_learner, staged_weights),
        keys.weights(commit.head.epoch, commit.head.version),
        keys.weights(commit.head.epoch, commit.head.version - WEIGHTS_KEPT),
        *(keys.ledger, keys.candidate, keys.best, keys.evaluation),
        *(staged_restore_point, keys.restore_point),
        *(keys.trajectories(actor) for actor in commit.consumed),
    ]
    staging: list[tuple[Argument, ...]] = [("SET", staged_learner, commit.learner, "PX", _STAGED_TTL_MS)]
    if commit.weights is not None:
        staging.append(("SET", staged_weights, commit.weights, "PX", _STAGED_TTL_MS))
    if commit.restore_point is not None:
        staging.append(("SET", staged_restore_point, commit.restore_point, "PX", _STAGED_TTL_MS))
    try:
        server.pipeline(staging)
    except ServerFull:
        # This commit makes room, so it may exceed the limit. Only a script may do that.
        for _, key, blob, _, ttl_ms in staging:
            server.script(_STAGE, [str(key)], blob, ttl_ms)
    # The cmsgpack library in the servers is older than msgpack's bin type.
    arguments = msgpack.packb(_arguments(commit, lease, ledger_kept), use_bin_type=False)
    try:
        fenced(server, COMMIT_SCRIPT, script_keys, arguments)
    except ReplyError as error:
        if error.code in {"LINEAGE", "PENDING", "STAGED", "NOGROUP"}:  # NOGROUP: a stream was deleted
            raise LineageLost(f"commit {commit.head.commit}: {error}") from error
        raise


def _arguments(commit: Commit, lease: Lease, ledger_kept: int) -> dict[str, Any]:
    head: dict[str, Argument] = {
        "epoch": commit.head.epoch,
        "version": commit.head.version,
        "commit": commit.head.commit,
        "parent": commit.parent.commit,
        "server": lease.server_id,
        **commit.counters,
    }
    weights = commit.weights or b""
    pointer = Pointer(commit.head.epoch, commit.head.version, commit.head.commit, digest(weights), len(weights))
    return {
        "token": lease.token,
        "ttl_ms": lease.ttl_ms,
        "group": GROUP,
        "commit": commit.head.commit,
        "parent": commit.parent.commit,
        "epoch": commit.parent.epoch,
        "version": commit.parent.version,
        "learner_bytes": len(commit.learner),
        "weights_bytes": len(weights),
        "restore_point_bytes": len(commit.restore_point or b""),
        "head": _flat(head),
        "stats": _flat(commit.stats),
        "latest": pointer.to_json(),
        # Epoch first: after a lost lineage, versions may be lower than before, but ids must still rise.
        "entry_id": f"{commit.head.epoch}-{commit.head.version}",
        "entry": _flat({**head, **commit.entry}),
        "versions_kept": VERSIONS_KEPT,
        "streams": [[format_id(last), count] for last, count in commit.consumed.values()],
        "rejected_entries": [_flat(entry) for entry in commit.rejected_entries],
        "rejected_kept": REJECTED_KEPT,
        "ledger": _flat(ledger_fields(lease.token, commit)),
        "ledger_kept": ledger_entries_kept(len(commit.consumed), ledger_kept),
        "plan": commit.plan.plan.to_json() if commit.plan else "",
        "new_candidate": bool(commit.plan and commit.plan.new_candidate),
        "new_best": bool(commit.plan and commit.plan.new_best),
    }


def _flat(fields: Mapping[str, Argument]) -> list[Argument]:
    """A flat list of fields and values. Numbers become text, because Lua prints large ones in exponent form."""
    return [part if isinstance(part, bytes) else str(part) for pair in fields.items() for part in pair]


def ledger_fields(token: str, commit: Commit) -> dict[str, str]:
    """The learner's part of a ledger entry; the script adds the head's fields and the ids that it finds pending."""
    return {
        "token": token,
        "published": str(int(commit.weights is not None)),
        "rejected": json.dumps(commit.rejected_ids, separators=(",", ":")),
        "gaps": json.dumps(commit.gaps, separators=(",", ":")),
        **({"evaluations": json.dumps(commit.evaluations, separators=(",", ":"))} if commit.evaluations else {}),
    }


def ledger_entries_kept(streams: int, most: int = LEDGER_KEPT) -> int:
    """The number of ledger entries to keep, at most `most`, if a commit consumes from `streams` streams."""
    return min(most, _STREAMS_KEPT // max(streams, 1))
