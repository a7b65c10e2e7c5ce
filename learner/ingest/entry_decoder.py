"""Decodes the fields of a stream entry into an `Entry`, or rejects it with a reason."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...common.errors import WireError
from ...common.wire.entry_header import parse_entry
from ...common.wire.trajectory import MAX_BYTES
from ..ledger.stream_entry import Entry
from .cached_layout_decoder import CachedLayoutDecoder

if TYPE_CHECKING:
    from collections.abc import Callable

    from ...common.spec import RunSpec
    from ...common.wire.entry_header import Header
    from ..ledger.counters import Rejection
    from ..ledger.stream_entry import EntryId

ENTRY_BYTES_MAX = MAX_BYTES + (16 << 20)  # the largest payload, and as many games as may end in one entry
SHOWN_BYTES = 4096  # of a rejected payload, kept for inspection


class EntryDecoder:
    """Decodes the entries of one run. For one thread.

    The payload of an entry that is rejected by its header is not decoded.
    """

    def __init__(
        self, spec: RunSpec, rejection: Callable[[Header], Rejection | None], *, keep_payloads: bool = False
    ) -> None:
        """Create a decoder.

        Args:
            spec: the run's spec.
            rejection: returns why an entry with this header is rejected now, or None.
            keep_payloads: whether entries carry their whole payload, for the archive.
        """
        self._decoder, self._spec = CachedLayoutDecoder(spec), spec
        self._rejection = rejection
        self._keep_payloads = keep_payloads

    def decode(self, actor: str, entry_id: EntryId, raw: list[bytes] | None) -> Entry:
        """Decode an entry of an actor's stream. An invalid entry is not an error: it is returned as rejected.

        Args:
            actor: the actor's name.
            entry_id: the entry's id.
            raw: the entry's fields and values, alternating.
        """
        header = None
        payload = kept = b""
        try:
            header, payload = parse_entry(raw)
            kept = payload if self._keep_payloads else b""
            if reason := self._rejection(header):
                return Entry(actor, entry_id, header, None, reason, payload=kept)
            if header.evaluation:
                self._check_evaluation(header)
                return Entry(actor, entry_id, header, None, payload=kept)
            trajectory = self._decoder.decode(payload, header, actor)
            return Entry(actor, entry_id, header, trajectory, payload=kept)
        except WireError as error:
            return Entry(actor, entry_id, header, None, "invalid", str(error), payload[:SHOWN_BYTES], payload=kept)

    def _check_evaluation(self, header: Header) -> None:
        """Raise WireError where the results are not those of games of this run."""
        if (header.episodes.wins is not None) != self._spec.game.wins:
            there = "missing" if self._spec.game.wins else "there"
            raise WireError(f"entry: wins is {there}, expected as the run's game has it")


def poison_entry(actor: str, entry_id: EntryId, raw: list[bytes]) -> Entry:
    """An entry that killed a learner: rejected without being decoded again."""
    problem = "a learner died while it processed this entry alone, expected an entry that can be processed"
    return Entry(actor, entry_id, None, None, "poison", problem, bytes(raw[-1][:SHOWN_BYTES]))


def oversize_entry(actor: str, entry_id: EntryId, raw: list[bytes], size: int) -> Entry:
    """An entry of `size` bytes, which was not fetched; `raw` is the beginning of its fields."""
    problem = f"entry: {size} bytes, expected at most {ENTRY_BYTES_MAX}"
    return Entry(actor, entry_id, None, None, "invalid", problem, bytes(raw[-1][:SHOWN_BYTES]) if raw else b"")
