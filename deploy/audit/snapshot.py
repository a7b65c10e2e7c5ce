"""Reads a run's records for the audit, in one transaction and without the trajectories' payloads."""

from __future__ import annotations

from importlib.resources import files
from typing import TYPE_CHECKING, Any

from ...common.deprecated import stored_fields
from ...common.server.keys import GROUP, NAME
from ...common.server.streams import parse_id
from ...common.wire.weights import Pointer, digest
from ...learner.ledger.ledger_entry import parse_ledger_entry
from .invariants import Snapshot, StreamView

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from ...common.server.keys import Keys
    from ...common.server.streams import Argument, Reply, Server

_STREAMS = files(__package__).joinpath("snapshot.lua").read_text()
_CHUNK = 1 << 18
_TRIES = 10


def take_snapshot(server: Server, keys: Keys, actors: Collection[str] = ()) -> Snapshot:
    """Read all records that the audit needs.

    Args:
        server: the connection to the run's server.
        keys: the keys of the run.
        actors: names of actors whose streams are read, besides those on the roster.
    """
    names = set(actors)
    while True:
        streams = [keys.trajectories(actor) for actor in sorted(names)]
        head, latest, ledger, versions, roster, views = _transaction(
            server,
            [
                ("HGETALL", keys.head),
                ("GET", keys.latest),
                ("XRANGE", keys.ledger, "-", "+"),
                ("XRANGE", keys.versions, "-", "+"),
                ("HKEYS", keys.roster),
                ("EVAL", _STREAMS, len(streams), *streams, GROUP),
            ],
        )
        found = {name for raw in roster if NAME.fullmatch(name := raw.decode(errors="replace"))}
        if found <= names:
            break
        names |= found  # an actor has joined: read all again, with its stream
    pointer = Pointer.from_json(latest) if latest is not None else None
    return Snapshot(
        head=stored_fields(_mapping(head)),
        latest=pointer,
        ledger=[parse_ledger_entry(*entry) for entry in ledger],
        versions={parse_id(raw_id): _mapping(fields)["commit"] for raw_id, fields in versions},
        streams={actor: _view(view) for actor, view in zip(sorted(names), views, strict=True)},
        blob=_blob(server, keys, pointer) if pointer is not None else None,
    )


def _transaction(server: Server, commands: Sequence[Sequence[Argument]]) -> list[Reply]:
    *_, replies = server.pipeline([("MULTI",), *commands, ("EXEC",)])
    for reply in replies:
        if isinstance(reply, Exception):
            raise reply
    return replies


def _blob(server: Server, keys: Keys, pointer: Pointer) -> tuple[Pointer, str | None]:
    """The digest of a pointer's weights; if a commit has deleted these meanwhile, the newest pointer and its digest."""
    for _ in range(_TRIES):
        key = keys.weights(pointer.epoch, pointer.version)
        starts = range(0, pointer.length, _CHUNK)
        blob = b"".join(server.call("GETRANGE", key, start, start + _CHUNK - 1) for start in starts)
        if server.call("EXISTS", key):
            return pointer, digest(blob)
        latest = server.call("GET", keys.latest)
        if latest is None or Pointer.from_json(latest) == pointer:
            break
        pointer = Pointer.from_json(latest)
    return pointer, None


def _view(raw: Any) -> StreamView:  # noqa: ANN401 - a raw reply
    added, length, pending, unread = raw
    return StreamView(added, length, tuple(map(parse_id, pending)), tuple(map(parse_id, unread)))


def _mapping(raw: list[bytes]) -> dict[str, str]:
    return {key.decode(): value.decode(errors="replace") for key, value in zip(raw[::2], raw[1::2], strict=True)}
