"""The labels of games (map, opponent, ...) in an entry's header: a few short texts a game, by the label's name.

In the header they are JSON, with one text where all games have it, and otherwise one a game, null where it has none:

    {"map": "Ladder", "opponent": ["Terran", "Zerg"]}
"""

from __future__ import annotations

import json
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from .arguments import is_flag, is_number
from .errors import WireError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

Labels = tuple[tuple[str, str], ...]  # names and values, by name
NO_LABELS: Labels = ()

LABELS_MAX = 4  # of a game
TEXT_MAX = 32  # characters of a name or a value
_GAME_BYTES = LABELS_MAX * 2 * (4 * TEXT_MAX + 8)  # of the names and of one game's values, generously


def to_labels(given: Mapping[str, object]) -> Labels:
    """Those labels of a game that the learner is told: its first four that are text, a number or a truth value."""
    texts = [
        (_shown(name), _shown(str(value)))
        for name, value in given.items()
        if isinstance(value, str) or is_flag(value) or is_number(value)
    ]
    return tuple(sorted(dict([(name, text) for name, text in texts if name and text][:LABELS_MAX]).items()))


def labels_to_text(labels: Sequence[Labels]) -> str:
    """The header's field for the labels of each game."""
    columns: dict[str, list[str | None]] = {}
    for game, pairs in enumerate(labels):
        for name, value in pairs:
            if name in columns or len(columns) < LABELS_MAX:
                columns.setdefault(name, [None] * len(labels))[game] = value
    shown: dict[str, Any] = {
        name: values[0] if all(each == values[0] for each in values) else values
        for name, values in sorted(columns.items())
    }
    return json.dumps(shown, separators=(",", ":"), ensure_ascii=False)


def labels_from_text(text: bytes, games: int) -> tuple[Labels, ...]:
    """The inverse, for what anybody may have written. Raises WireError."""
    raw: object = None
    if len(text) <= _GAME_BYTES * (games + 1):
        with suppress(ValueError, RecursionError):
            raw = json.loads(text)
    if not (isinstance(raw, dict) and 0 < len(raw) <= LABELS_MAX and _are_columns(raw, games)):
        raise WireError(
            f"entry: labels are {text[:40]!r}, expected JSON with at most {LABELS_MAX} of up to {TEXT_MAX} characters, "
            "each with one text for all games or one a game"
        )
    columns = [(name, [value] * games if isinstance(value, str) else value) for name, value in sorted(raw.items())]
    return tuple(
        tuple((name, values[game]) for name, values in columns if values[game] is not None) for game in range(games)
    )


def _shown(text: str) -> str:
    """The beginning of a text, with nothing in it that a terminal would not show."""
    return "".join(each if each.isprintable() else "?" for each in text[:TEXT_MAX])


def _is_text(value: object) -> bool:
    return isinstance(value, str) and 0 < len(value) <= TEXT_MAX and value.isprintable()


def _are_columns(raw: Mapping[str, object], games: int) -> bool:
    for name, value in raw.items():
        if not _is_text(name):
            return False
        if isinstance(value, list):
            if len(value) != games or not any(value) or not all(each is None or _is_text(each) for each in value):
                return False
        elif not _is_text(value):
            return False
    return True
