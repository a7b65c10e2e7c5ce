"""The ledger: one entry per commit, written by the commit's script, from which a run can be audited.

The consumed ids come from the server's own pending list. The rejected ids and the reasons come from the learner.
"""

from __future__ import annotations

import json
from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ...common.deprecated import stored_fields
from ...common.server.streams import parse_id
from .counters import Counters
from .id_ranges import IdRange, format_ranges, merge, parse_ranges

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from .counters import Rejection
    from .stream_entry import Entry, EntryId


Ranges = dict[str, list[IdRange]]  # by actor


@dataclass(frozen=True, slots=True)
class LedgerEntry:
    """The record of one commit in the ledger."""

    written_ms: int  # by the server's clock
    commit: str
    parent: str
    epoch: int
    version: int
    token: str  # of the lease under which it was written
    published: bool  # whether the commit published a version
    counters: Counters  # after the commit
    consumed: Ranges
    rejected: dict[str, Ranges]  # by reason
    gaps: Ranges  # ids that an actor numbered and never sent
    evaluations: Ranges = field(default_factory=dict)  # consumed, and not to be trained on


def by_actor(ids: Iterable[tuple[str, EntryId]]) -> dict[str, str]:
    """Ids in the form of a commit: actor to ranges."""
    found: defaultdict[str, list[EntryId]] = defaultdict(list)
    for actor, entry_id in ids:
        found[actor].append(entry_id)
    return {actor: format_ranges(merge(each)) for actor, each in found.items()}


def by_reason(rejected: Iterable[tuple[Entry, Rejection]]) -> dict[str, dict[str, str]]:
    """The ids of rejected entries, in the form of a commit: reason to actor to ranges."""
    found: defaultdict[str, list[tuple[str, EntryId]]] = defaultdict(list)
    for entry, reason in rejected:
        found[reason].append((entry.actor, entry.id))
    return {reason: by_actor(ids) for reason, ids in found.items()}


def parse_ledger_entry(raw_id: bytes, raw: list[bytes]) -> LedgerEntry:
    """Parse an entry of the ledger stream. Raises ValueError or KeyError if it is not one."""
    fields = stored_fields({name.decode(): value.decode() for name, value in zip(raw[::2], raw[1::2], strict=True)})
    return LedgerEntry(
        written_ms=parse_id(raw_id)[0],
        commit=fields["commit"],
        parent=fields["parent"],
        epoch=int(fields["epoch"]),
        version=int(fields["version"]),
        token=fields["token"],
        published=fields["published"] == "1",
        counters=Counters.from_fields(fields),
        consumed=_ranges(json.loads(fields["consumed"])),
        rejected={reason: _ranges(actors) for reason, actors in stored_fields(json.loads(fields["rejected"])).items()},
        gaps=_ranges(json.loads(fields["gaps"])),
        evaluations=_ranges(json.loads(fields.get("evaluations", "{}"))),
    )


def _ranges(raw: Mapping[str, str]) -> Ranges:
    return {actor: parse_ranges(text) for actor, text in raw.items()}
