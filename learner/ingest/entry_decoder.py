"""Decodes the fields of a stream entry into an `Entry`, or rejects it with a reason."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...common.errors import WireError
from ...common.wire.trajectory import parse_entry
from ..ledger.stream_entry import Entry
from .cached_layout_decoder import CachedLayoutDecoder

if TYPE_CHECKING:
    from collections.abc import Callable

    from ...common.spec import RunSpec
    from ...common.wire.trajectory import Header
    from ..ledger.counters import Rejection
    from ..ledger.stream_entry import EntryId

_SHOWN_BYTES = 4096  # of a rejected payload, kept for whoever looks into it


class EntryDecoder:
    """Decodes the entries of one run. For one thread.

    An entry that its header already rejects is not decoded.
    """

    def __init__(
        self, spec: RunSpec, rejection: Callable[[Header], Rejection | None], *, keep_payloads: bool = False
    ) -> None:
        """Args: keep_payloads: whether entries carry their whole payload, for an archive."""
        self._decoder = CachedLayoutDecoder(spec)
        self._rejection = rejection
        self._keep_payloads = keep_payloads

    def decode(self, actor: str, entry_id: EntryId, raw: list[bytes] | None) -> Entry:
        """An entry of an actor's stream, from its fields and values in turn; never raises for what is in them."""
        header = None
        payload = kept = b""
        try:
            header, payload = parse_entry(raw)
            kept = payload if self._keep_payloads else b""
            if reason := self._rejection(header):
                return Entry(actor, entry_id, header, None, reason, payload=kept)
            trajectory = self._decoder.decode(payload, header, actor)
            return Entry(actor, entry_id, header, trajectory, payload=kept)
        except WireError as error:
            return Entry(actor, entry_id, header, None, "invalid", str(error), payload[:_SHOWN_BYTES], payload=kept)


def poison_entry(actor: str, entry_id: EntryId, raw: list[bytes]) -> Entry:
    """An entry that killed a learner: rejected without being decoded again."""
    problem = "a learner died while it processed nothing else, expected it to live"
    return Entry(actor, entry_id, None, None, "poison", problem, bytes(raw[-1][:_SHOWN_BYTES]))
