"""Reads trajectories of format 1, which version 0.1 wrote: in archive segments of that version."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ..errors import WireError
from . import codec
from .columns import columns_of
from .entry_header import Episodes, Header
from .trajectory import MAX_BYTES, checked_trajectory, take_columns

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ..spec import RunSpec
    from .trajectory import Trajectory

_FORMAT = 1
_MAX_MAP = 16
_NUMBERS = 5


def archived_header(fields: Mapping[str, Any]) -> Header | None:
    """The header of an archived entry: version, epoch, steps, games, time. Its games are in the payload."""
    raw = fields["header"]
    if raw is None:
        return None
    if not isinstance(raw, list) or len(raw) != _NUMBERS or not all(type(n) is int and n >= 0 for n in raw):
        raise WireError(f"header: {raw!r:.80}, expected {_NUMBERS} numbers of at least 0")
    version, epoch, steps, _games, created_ms = raw
    return Header(epoch, (version, version), steps, created_ms, imported=fields["imported"] is True)


def decode_trajectory(payload: bytes, header: Header, actor: str, spec: RunSpec) -> Trajectory:
    """Decode a payload, and check it against the run's spec and the entry's header.

    Raises:
        WireError: naming the first invalid field.
    """
    fields = codec.decode(payload, max_bytes=MAX_BYTES, max_map=_MAX_MAP)
    columns = [column for column in columns_of(spec) if not column.optional]
    absent = set() if spec.game.masked else {"masks"}
    codec.check_fields(
        fields, {"format", "actor", "returns", "lengths", "wins", *absent, *(column.name for column in columns)}
    )
    codec.take_int(fields, "format", _FORMAT, _FORMAT)
    if not spec.game.masked and fields["masks"] is not None:
        raise WireError("masks: there, expected none: the run's game has none")
    arrays = take_columns(fields, columns, actor, spec)
    returns = codec.take_array(fields, "returns", ("<f4",), (None,))
    wins = None if fields["wins"] is None else codec.take_array(fields, "wins", ("?",), returns.shape)
    episodes = Episodes(
        tuple(returns.tolist()),
        tuple(codec.take_array(fields, "lengths", ("<i4",), returns.shape).tolist()),
        (header.created_ms,) * len(returns),  # when they began was not recorded
        None if wins is None else tuple(wins.tolist()),
    )
    return checked_trajectory(arrays, replace(header, episodes=episodes), spec)
