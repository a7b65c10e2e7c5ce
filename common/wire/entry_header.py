"""The header of a stream entry: everything that the learner decides and counts by, outside the payload.

So a stale entry can be rejected, and its games counted, without decoding it, and a person can read it in redis-cli.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypeVar

from ..errors import WireError
from ..labels import NO_LABELS, Labels, labels_from_text, labels_to_text
from ..own_metrics import NO_METRICS, OwnMetrics, metrics_from_text, metrics_to_text, of_games

if TYPE_CHECKING:
    from collections.abc import Callable

_Number = TypeVar("_Number", int, float)

FORMAT = 2  # of entries and payloads
COUNT_MAX = 2**53
GAMES_MAX = 1 << 17  # that may end in one entry
RETURN_MAX = 1e15
_TEXT_MAX = 32  # bytes of one number
_NAMES = (b"format", b"epoch", b"versions", b"commits", b"steps", b"bytes", b"games", b"time", b"open", b"overflow")
_OF_GAMES = (b"returns", b"lengths", b"began")
_FORMAT_TEXT = b"%d" % FORMAT
_OUTCOMES = frozenset({b"0", b"1"})
_COMMIT = re.compile(rb"[0-9a-f]{0,64}")


@dataclass(frozen=True, slots=True)
class Episodes:
    """The games that ended in a trajectory, one item a game in each field."""

    returns: tuple[float, ...] = ()  # undiscounted sums of reward
    lengths: tuple[int, ...] = ()  # in steps
    began_ms: tuple[int, ...] = ()  # when each began, by the same clock as the header's `created_ms`
    wins: tuple[bool, ...] | None = None  # None where the game reports none
    metrics: tuple[OwnMetrics, ...] = ()  # the game's own; empty where no game has any
    labels: tuple[Labels, ...] = ()  # of each game: map, opponent, ...; empty where no game has any

    def __len__(self) -> int:
        return len(self.returns)

    @property
    def own_metrics(self) -> tuple[OwnMetrics, ...]:
        """The metrics of each game, one item a game."""
        return self.metrics or (NO_METRICS,) * len(self)

    def __add__(self, other: Episodes) -> Episodes:
        """The games of both, in order. Where one side has games without wins, the result has none."""
        if not self.returns or not other.returns:
            return self if self.returns else other
        wins = None if self.wins is None or other.wins is None else self.wins + other.wins
        labels: tuple[Labels, ...] = ()
        if self.labels or other.labels:
            labels = (self.labels or (NO_LABELS,) * len(self)) + (other.labels or (NO_LABELS,) * len(other))
        return Episodes(
            self.returns + other.returns,
            self.lengths + other.lengths,
            self.began_ms + other.began_ms,
            wins,
            of_games((*self.own_metrics, *other.own_metrics)) if self.metrics or other.metrics else (),
            labels,
        )


NO_EPISODES = Episodes()


@dataclass(frozen=True, slots=True)
class Header:
    """The fields of an entry outside its payload."""

    epoch: int
    versions: tuple[int, int]  # the lowest and the highest version of the policy that played
    steps: int
    created_ms: int  # when the play ended: by the server's clock in Redis, by the actor's before it is sent
    # The commits that published the two versions. After a loss of data another version may have the same number.
    # Empty: not known.
    commits: tuple[str, str] = ("", "")
    episodes: Episodes = NO_EPISODES
    # When the earliest begun of the games that the actor still plays began; None where it plays none. Games that began
    # before are all over, so that figures can be over games in the order in which they began.
    open_since_ms: int | None = None
    overflow: int = 0  # games that the actor has given up before their first step, since its incarnation began
    # True if no version of this run played it. `versions` and `epoch` then mean nothing, and the log-probabilities are
    # those that the importer gave.
    imported: bool = False
    # True if its games were played greedily, by one version, to evaluate it. It has no payload, and nothing is trained
    # on; its games are in no figure but that version's evaluation.
    evaluation: bool = False

    @property
    def version(self) -> int:
        """The lowest version that played."""
        return self.versions[0]

    @property
    def games(self) -> int:
        """The number of games that ended in it."""
        return len(self.episodes.returns)

    def stamped(self, clock_offset_ms: int, overflow: int) -> Header:
        """The header as it is sent.

        Args:
            clock_offset_ms: the server's clock minus the actor's.
            overflow: see `overflow`.
        """
        if not clock_offset_ms and overflow == self.overflow:
            return self
        episodes, since_ms = self.episodes, self.open_since_ms
        if clock_offset_ms and episodes.returns:
            began_ms = tuple([each + clock_offset_ms for each in episodes.began_ms])
            episodes = replace(episodes, began_ms=began_ms)
        return Header(
            self.epoch,
            self.versions,
            self.steps,
            self.created_ms + clock_offset_ms,
            self.commits,
            episodes,
            None if since_ms is None else since_ms + clock_offset_ms,
            overflow,
            self.imported,
            self.evaluation,
        )

    def fields(self, payload: bytes) -> list[bytes | str | int]:
        """The fields and values of the entry, as arguments of XADD."""
        (low, high), (first, last), episodes = self.versions, self.commits, self.episodes
        ended_ms, since_ms, one = self.created_ms, self.open_since_ms, low == high
        fields: list[bytes | str | int] = [
            *(b"format", _FORMAT_TEXT, b"epoch", self.epoch),
            *(b"versions", low if one else f"{low} {high}", b"commits", first if one else f"{first} {last}"),
            *(b"steps", self.steps, b"bytes", len(payload), b"games", len(episodes.returns), b"time", ended_ms),
            # Milliseconds before `time` since which a game is in play; empty where none is.
            *(b"open", b"" if since_ms is None else max(ended_ms - since_ms, 0), b"overflow", self.overflow),
        ]
        if episodes.returns:
            ages_ms = [str(max(ended_ms - began_ms, 0)) for began_ms in episodes.began_ms]
            fields += [
                *(b"returns", " ".join(map(repr, episodes.returns)), b"lengths", " ".join(map(str, episodes.lengths))),
                *(b"began", " ".join(ages_ms)),
            ]
            if episodes.wins is not None:
                fields += [b"wins", " ".join(["1" if won else "0" for won in episodes.wins])]
            if episodes.metrics:
                fields += [b"metrics", metrics_to_text(episodes.metrics)]
            if episodes.labels:
                fields += [b"labels", labels_to_text(episodes.labels)]
        if self.imported:
            fields += [b"imported", b"1"]
        elif self.evaluation:
            fields += [b"evaluation", b"1"]
        fields += [b"payload", payload]
        return fields

    def to_bytes(self, payload: bytes) -> list[bytes]:
        """The fields and values as Redis returns them, which `parse_entry` reads."""
        return [part if isinstance(part, bytes) else str(part).encode() for part in self.fields(payload)]


@dataclass(frozen=True, slots=True)
class _Layout:
    """Which optional fields an entry has."""

    games: bool
    wins: bool
    metrics: bool
    labels: bool
    flag: bytes  # imported, evaluation, or empty

    @property
    def names(self) -> tuple[bytes, ...]:
        return (
            *_NAMES,
            *(_OF_GAMES if self.games else ()),
            *((b"wins",) if self.wins else ()),
            *((b"metrics",) if self.metrics else ()),
            *((b"labels",) if self.labels else ()),
            *((self.flag,) if self.flag else ()),
            b"payload",
        )


_LAYOUTS = {
    layout.names: layout
    for games in (False, True)
    for wins in ((False, True) if games else (False,))
    for metrics in ((False, True) if games else (False,))
    for labels in ((False, True) if games else (False,))
    for flag in ((b"", b"imported", b"evaluation") if games else (b"", b"imported"))
    if (layout := _Layout(games, wins, metrics, labels, flag))
}


def parse_entry(raw: list[bytes] | None) -> tuple[Header, bytes]:
    """Split an entry's flat list of fields into header and payload, without decoding the payload.

    Raises:
        WireError: naming the first field that is not what it must be.
    """
    layout = None if not raw or len(raw) % 2 or raw[1] != _FORMAT_TEXT else _LAYOUTS.get(tuple(raw[::2]))
    if layout is None:
        raise _wrong_fields(raw)
    assert raw is not None
    _, epoch, versions, commits, steps, size, games, time, opened, overflow, *rest = raw[1::2]
    payload = rest.pop()
    if layout.flag and (flag := rest.pop()) != b"1":
        raise WireError(f"entry: {layout.flag.decode()} is {flag!r:.40}, expected 1, or no such field")
    labels = rest.pop() if layout.labels else None
    metrics = rest.pop() if layout.metrics else None
    evaluation = layout.flag == b"evaluation"
    try:
        epoch_number, step_count, payload_bytes = int(epoch), int(steps), int(size)
        game_count, time_ms, given_up = int(games), int(time), int(overflow)
        open_for_ms = int(opened) if opened else None
        if b" " in versions:
            low, high = map(int, versions.split(b" "))
        else:
            low = high = int(versions)
    except ValueError as error:
        raise _wrong_number(raw) from error
    # Bitwise or: negative if any of them is, and too large if any of them is.
    every = (
        epoch_number | step_count | payload_bytes | game_count | time_ms | given_up | low | high | (open_for_ms or 0)
    )
    if not 0 <= every < COUNT_MAX:
        raise _wrong_number(raw)
    if low > high:
        raise WireError(f"entry: versions are {versions!r:.40}, expected the lowest one first")
    if payload_bytes != len(payload):
        raise WireError(f"entry: bytes is {payload_bytes}, expected {len(payload)}, the payload's")
    if evaluation and (payload or low != high):
        raise WireError(
            f"entry: versions are {versions!r:.40} and bytes {payload_bytes}, expected one version and no payload of "
            "an evaluation"
        )
    if layout.games != (game_count > 0):
        raise WireError(
            f"entry: games is {game_count}, expected returns, lengths and began if it is not 0, and only then"
        )
    return (
        Header(
            epoch_number,
            (low, high),
            step_count,
            time_ms,
            _parse_commits(commits, one=low == high),
            _parse_games(rest, game_count, time_ms, metrics, labels) if layout.games else NO_EPISODES,
            None if open_for_ms is None else time_ms - open_for_ms,
            given_up,
            layout.flag == b"imported",
            evaluation,
        ),
        payload,
    )


def _wrong_fields(raw: list[bytes] | None) -> WireError:
    """The error for an entry that has not the fields of this format."""
    if raw and raw[0] == b"v":
        return WireError(f"entry: format 1, expected {FORMAT}: its actor is of an older version of broodmind")
    if raw and len(raw) > 1 and raw[0] == b"format" and raw[1] != _FORMAT_TEXT:
        return WireError(
            f"entry: format {raw[1]!r:.40}, expected {FORMAT}: its actor is of another version of broodmind"
        )
    names = b" ".join(raw[::2])[:120] if raw else None
    wanted = b" ".join(_Layout(games=True, wins=True, metrics=True, labels=True, flag=b"imported").names).decode()
    return WireError(
        f"entry: fields {names!r}, expected {wanted} (returns, lengths, began, wins, metrics and labels where games "
        "ended; imported, or evaluation, where it is)"
    )


def _wrong_number(raw: list[bytes]) -> WireError:
    """The error for the first field that is not a number, or two for versions, from 0 to 2^53."""
    for name, text in zip(raw[2::2], raw[3::2], strict=True):
        if name == b"commits" or (name == b"open" and not text):
            continue
        wanted = "one number, or the lowest and the highest one," if name == b"versions" else "a number"
        parts = text.split(b" ") if name == b"versions" else [text]
        try:
            right = len(parts) <= 2 and all(0 <= int(part) < COUNT_MAX for part in parts)
        except ValueError:
            right = False
        if not right:
            return WireError(f"entry: {name.decode()} is {text!r:.40}, expected {wanted} from 0 to 2^53")
    raise AssertionError("no wrong number in its header")


def _parse_commits(raw: bytes, *, one: bool) -> tuple[str, str]:
    """The ids of the commits that published the lowest and the highest version, which may be the same one."""
    first, last = raw, raw
    if not one:
        first, _, last = raw.partition(b" ")
    if not _COMMIT.fullmatch(first) or not (one or _COMMIT.fullmatch(last)):
        raise WireError(f"entry: commits are {raw!r:.40}, expected the id of each version's commit")
    text = first.decode()
    return text, text if one else last.decode()


def _parse_games(raw: list[bytes], games: int, time_ms: int, metrics: bytes | None, labels: bytes | None) -> Episodes:
    """The games' fields, with their own metrics and their labels where there are any."""
    episodes = _parse_episodes(raw, games, time_ms)
    if metrics is not None:
        episodes = replace(episodes, metrics=metrics_from_text(metrics, games))
    return episodes if labels is None else replace(episodes, labels=labels_from_text(labels, games))


def _parse_episodes(raw: list[bytes], games: int, time_ms: int) -> Episodes:
    """The games' fields: returns, lengths, began, and wins where there are any."""
    if games == 1 and (episode := _parse_episode(raw, time_ms)) is not None:
        return episode
    if games > GAMES_MAX:
        raise WireError(f"entry: games is {games}, expected at most {GAMES_MAX}")
    returns = _column("returns", raw[0], games, float)
    # A sum that is finite proves that all of them are.
    if not (math.isfinite(sum(returns)) and min(returns) >= -RETURN_MAX and max(returns) <= RETURN_MAX):
        raise WireError(f"entry: returns are {raw[0]!r:.40}, expected finite ones of at most {RETURN_MAX:g}")
    lengths = _column("lengths", raw[1], games, int)
    if not (min(lengths) > 0 and max(lengths) < COUNT_MAX):
        raise WireError(f"entry: lengths are {raw[1]!r:.40}, expected 1 to 2^53")
    ages_ms = _column("began", raw[2], games, int)
    if not (min(ages_ms) >= 0 and max(ages_ms) < COUNT_MAX):
        raise WireError(f"entry: began are {raw[2]!r:.40}, expected milliseconds before time")
    wins = None
    if len(raw) > len(_OF_GAMES):
        won = raw[3].split(b" ") if len(raw[3]) == 2 * games - 1 else []
        if len(won) != games or not _OUTCOMES.issuperset(won):
            raise WireError(f"entry: wins are {raw[3]!r:.40}, expected {games} of 0 or 1, one a game")
        wins = tuple([each == b"1" for each in won])
    return Episodes(returns, lengths, tuple([time_ms - age_ms for age_ms in ages_ms]), wins)


def _parse_episode(raw: list[bytes], time_ms: int) -> Episodes | None:
    """The same for one game, as most entries of whole games have, in a third of the time; None if a field is wrong."""
    try:
        total, length, age_ms = float(raw[0]), int(raw[1]), int(raw[2])
    except ValueError:
        return None
    if not (-RETURN_MAX <= total <= RETURN_MAX and 0 < length < COUNT_MAX and 0 <= age_ms < COUNT_MAX):
        return None
    wins = None
    if len(raw) > len(_OF_GAMES):
        if raw[3] not in _OUTCOMES:
            return None
        wins = (raw[3] == b"1",)
    return Episodes((total,), (length,), (time_ms - age_ms,), wins)


def _column(name: str, text: bytes, games: int, kind: Callable[[bytes], _Number]) -> tuple[_Number, ...]:
    """The numbers of one field, one a game."""
    # Not split before it is known to be of so many parts.
    whole = len(text) <= _TEXT_MAX * games and text.count(b" ") == games - 1
    try:
        numbers = tuple(map(kind, text.split(b" "))) if whole else ()
    except ValueError:
        numbers = ()
    if len(numbers) != games:
        raise WireError(f"entry: {name} are {text!r:.40}, expected {games} numbers, one a game")
    return numbers
