"""A stream entry as the learner holds it: id, header, trajectory, and the reason if it is rejected."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ...common.wire.entry_header import Header
    from ...common.wire.trajectory import Trajectory
    from .counters import Rejection

EntryId = tuple[int, int]
Cursors = dict[str, EntryId]  # actor to the last id consumed


@dataclass(frozen=True, slots=True)
class Entry:
    """One stream entry after its read: decoded, or rejected with a reason."""

    actor: str
    id: EntryId
    header: Header | None  # None if the entry does not have the fields of an entry
    trajectory: Trajectory | None  # None if it is rejected
    rejected: Rejection | None = None
    problem: str = ""  # why it is invalid
    shown: bytes = b""  # the first bytes of an invalid payload
    processed_solo: bool = False  # to be committed alone, because it may have killed an earlier learner
    payload: bytes = b""  # the whole payload, if it is to be archived
