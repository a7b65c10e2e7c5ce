"""Packing: finished games that travel together in one entry.

A game of a few steps is a few hundred bytes, and an entry costs the client, the server and the learner a third of a
millisecond each, whatever is in it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import chain
from typing import TYPE_CHECKING, Any

import numpy as np

from ...common.own_metrics import of_games
from ...common.wire.entry_header import Episodes, Header
from ...common.wire.trajectory import MAX_COLUMNS, Trajectory

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

    from ...common.labels import Labels
    from ...common.spec import RunSpec
    from ...common.wire.demand import Demand
    from ...common.wire.weights import Pointer
    from .episode_buffer import EvaluationGame, RecordedGame

_BYTES = 1 << 18  # of one entry: its own cost hardly counts from there on
_STEPS, _GAMES = 256, 64  # of one entry, where the learner's batch is not known
_PARTS = 8  # of a batch: entries are so much smaller that a batch is hardly ever overfull
# Versions between the oldest and the newest of an entry: it is judged by its oldest step, and the new ones with it.
_SPREAD = 2


@dataclass(frozen=True, slots=True)
class PackLimit:
    """Up to how much is put into one entry. A game that is larger is an entry of its own."""

    steps: int = _STEPS
    games: int = _GAMES
    payload_bytes: int = _BYTES

    @classmethod
    def of(cls, demand: Demand | None, queue_games: int) -> PackLimit:
        """A fraction of the learner's batch, and of what may be queued: an entry is dropped as a whole."""
        droppable = max(queue_games // _PARTS, 1)
        if demand is None:
            return cls(games=min(_GAMES, droppable))
        # A batch that is not measured in steps, or in games, limits nothing by them.
        steps = max(demand.batch_steps // _PARTS, 1) if demand.batch_steps else _BYTES
        games = max(demand.batch_games // _PARTS, 1) if demand.batch_games else MAX_COLUMNS
        return cls(steps, min(games, droppable, MAX_COLUMNS), _BYTES)

    def reached(self, steps: int, games: int, payload_bytes: int) -> bool:
        """Whether no game can be added to so much."""
        return steps >= self.steps or games >= self.games or payload_bytes >= self.payload_bytes


@dataclass(slots=True)
class _Pack:
    """The games of one entry: of one spec and one epoch, and of neighbouring versions."""

    limit: PackLimit
    games: list[RecordedGame] = field(default_factory=list)
    steps: int = 0
    payload_bytes: int = 0
    commits: dict[int, str] = field(default_factory=dict)  # of each version that played

    def has_room_for(self, game: RecordedGame) -> bool:
        pointers = [pointer for _, pointer in game.buffer.versions]
        if any(self.commits.get(pointer.version, pointer.commit) != pointer.commit for pointer in pointers):
            return False  # after a loss of data another version may have the same number
        versions = [pointer.version for pointer in pointers]
        together = [*self.commits, *versions]
        spread = max(together) - min(together)
        if spread > max(_SPREAD, max(self.commits) - min(self.commits), max(versions) - min(versions)):
            return False
        limit, rollout = self.limit, game.spec.rollout
        slots = self.steps + game.steps + len(self.games)  # a step that is not valid is between two games
        if rollout.noise_correlation:  # each game's last column is filled up
            slots += (len(self.games) + 1) * rollout.fragment_length
        return (
            slots <= rollout.fragment_length * MAX_COLUMNS
            and self.steps + game.steps <= limit.steps
            and len(self.games) < limit.games
            and self.payload_bytes + game.bytes <= limit.payload_bytes
        )

    def add(self, game: RecordedGame) -> None:
        self.games.append(game)
        self.steps += game.steps
        self.payload_bytes += game.bytes
        self.commits.update((pointer.version, pointer.commit) for _, pointer in game.buffer.versions)


def _apart(spec: RunSpec) -> bool:
    """Whether each game has columns of its own, which begin with its first step."""
    return spec.rollout.unroll == "games" or spec.rollout.noise_correlation > 0


def grouped(games: Iterable[RecordedGame], limit: PackLimit) -> list[list[RecordedGame]]:
    """Which games travel together, each group in the order given.

    Games with columns of their own are side by side, padded to the longest. Those of a group differ in length by less
    than a factor of two, so that less than half of it is padding.
    """
    packs: list[_Pack] = []
    open_packs: dict[tuple[int, int, int], _Pack] = {}  # by spec, epoch and length
    for game in games:
        length = game.steps.bit_length() if _apart(game.spec) else 0
        key = (id(game.spec), game.buffer.versions[0][1].epoch, length)
        pack = open_packs.get(key)
        if pack is None or not pack.has_room_for(game):
            pack = open_packs[key] = _Pack(limit)
            packs.append(pack)
        pack.add(game)
    return [pack.games for pack in packs]


def to_header(games: Sequence[RecordedGame], trajectory: Trajectory, now_ms: int, open_since_ms: int | None) -> Header:
    """The header of an entry, as of `now_ms`; `open_since_ms` is when the earliest of the other games began."""
    low, high = _version_range(games)
    return Header(
        low.epoch,
        (low.version, high.version),
        trajectory.steps,
        now_ms,
        (low.commit, high.commit),
        trajectory.episodes,
        open_since_ms,
    )


def grouped_evaluations(games: Iterable[EvaluationGame], limit: PackLimit) -> list[list[EvaluationGame]]:
    """Which evaluation games travel together: those of one version, each group in the order given."""
    groups: list[list[EvaluationGame]] = []
    open_groups: dict[tuple[int, Pointer], list[EvaluationGame]] = {}
    for game in games:
        key = (id(game.spec), game.pointer)
        group = open_groups.get(key)
        if group is None or len(group) >= limit.games:
            group = open_groups[key] = []
            groups.append(group)
        group.append(game)
    return groups


def to_evaluation_header(games: Sequence[EvaluationGame], now_ms: int, open_since_ms: int | None) -> Header:
    """The header of an entry of evaluation games, which has no payload."""
    pointer, spec = games[0].pointer, games[0].spec
    return Header(
        pointer.epoch,
        (pointer.version, pointer.version),
        sum(game.steps for game in games),
        now_ms,
        (pointer.commit, pointer.commit),
        Episodes(
            tuple(game.total_reward for game in games),
            tuple(game.steps for game in games),
            tuple(game.began_ms for game in games),
            tuple(game.won for game in games) if spec.game.wins else None,
            labels=_labels(games),
        ),
        open_since_ms,
        evaluation=True,
    )


def to_trajectory(games: Sequence[RecordedGame]) -> Trajectory:
    """Finished games of one spec as one trajectory.

    They are laid one after the other, each followed by a step that is not valid and has the game's final observation.
    For a run of fragments of `length` steps this is cut into columns of so many, [length, columns]; the observation
    behind a column is the first one of the next. For a run of whole games each one is a column, [longest, games]. With
    noise that lasts, which starts anew every `length` steps of a game, each game is cut into columns of its own there.
    """
    spec = games[0].spec
    lengths = np.array([game.steps for game in games])
    finals = np.cumsum(lengths + 1) - 1  # where the final observations are
    firsts = finals - lengths
    if _apart(spec):
        rows = min(int(lengths.max()), spec.rollout.fragment_length)  # which no whole game is longer than
        starts = np.concatenate([np.arange(first, final, rows) for first, final in zip(firsts, finals, strict=True)])
        lasts = np.repeat(finals, -(-lengths // rows))
    else:
        steps = int(finals[-1])  # with those that are not valid; nothing follows the last game
        rows = min(steps, spec.rollout.fragment_length)
        starts, lasts = np.arange(0, steps, rows), finals[-1:]
    # What is behind the end repeats the step that is not valid.
    observation_index = np.minimum(starts + np.arange(rows + 1)[:, None], lasts)
    step_index = observation_index[:-1]
    valid = np.ones(int(finals[-1]) + 1, np.bool_)
    valid[finals] = False
    terminated, truncated = np.zeros_like(valid), np.zeros_like(valid)
    terminated[finals - 1] = [game.end.terminated for game in games]
    truncated[finals - 1] = ~terminated[finals - 1]
    rewards = np.array([*chain.from_iterable((*game.buffer.rewards, 0.0) for game in games)], np.float32)
    offsets = _version_offsets(games)
    return Trajectory(
        observations=_observations(games)[observation_index],
        actions=_actions(games, spec)[step_index],
        log_probs=_log_probs(games)[step_index],
        rewards=rewards[step_index],
        terminated=terminated[step_index],
        truncated=truncated[step_index],
        valid=valid[step_index],
        masks=_masks(games, spec)[step_index] if spec.game.masked else None,
        version_offsets=None if offsets is None else offsets[step_index],
        episodes=Episodes(
            tuple(np.add.reduceat(rewards, firsts, dtype=np.float64).tolist()),
            tuple(lengths.tolist()),
            tuple(game.began_ms for game in games),
            tuple(game.end.won for game in games) if spec.game.wins else None,
            of_games(game.metrics for game in games),
            _labels(games),
        ),
    )


def _labels(games: Sequence[RecordedGame | EvaluationGame]) -> tuple[Labels, ...]:
    """Of each game; nothing where no game has any."""
    return tuple(game.labels for game in games) if any(game.labels for game in games) else ()


def _observations(games: Sequence[RecordedGame]) -> NDArray[Any]:
    """One a step, and each game's final one after its last step."""
    return np.array([*chain.from_iterable((*game.buffer.observations, game.end.observation) for game in games)])


def _actions(games: Sequence[RecordedGame], spec: RunSpec) -> NDArray[Any]:
    """One a step; zero where the step is not valid, and so below."""
    none = np.zeros(spec.game.actions.shape, spec.game.actions.dtype)
    flat = [*chain.from_iterable((*game.buffer.actions, none) for game in games)]
    return np.array(flat, spec.game.actions.dtype)


def _log_probs(games: Sequence[RecordedGame]) -> NDArray[np.float32]:
    return np.array([*chain.from_iterable((*game.buffer.log_probs, 0.0) for game in games)], np.float32)


def _masks(games: Sequence[RecordedGame], spec: RunSpec) -> NDArray[np.bool_]:
    """One a step; where the step is not valid all is allowed, as what allows nothing has no distribution."""
    every = np.ones(sum(spec.game.actions.sizes), np.bool_)
    return np.array([*chain.from_iterable((*game.buffer.masks, every) for game in games)], np.bool_)


def _version_range(games: Sequence[RecordedGame]) -> tuple[Pointer, Pointer]:
    pointers = [pointer for game in games for _, pointer in game.buffer.versions]
    versions = [pointer.version for pointer in pointers]
    return pointers[versions.index(min(versions))], pointers[versions.index(max(versions))]


def _version_offsets(games: Sequence[RecordedGame]) -> NDArray[np.int32] | None:
    """One a step, counted from the lowest version; None where one version played all."""
    low, high = _version_range(games)
    if low.version == high.version:
        return None
    versions: list[int] = []
    counts: list[int] = []
    for game in games:
        ends = [first for first, _ in game.buffer.versions[1:]] + [game.steps + 1]
        counts += [end - first for (first, _), end in zip(game.buffer.versions, ends, strict=True)]
        versions += [pointer.version - low.version for _, pointer in game.buffer.versions]
    return np.repeat(np.array(versions, np.int32), counts)
