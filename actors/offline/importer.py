"""The importer: an actor whose games were played before, by no version of the run.

It joins the roster, pushes and waits for room as every actor does. Its entries say that they were imported.
"""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from ...common.deprecated import old_name
from ...common.errors import ConfigError, WireError
from ...common.server.streams import Server
from ...common.wire.archive_format import SUFFIX, read_segment
from ..rollout import Fragment
from ..transport.blocking_connection import BlockingActorConnection
from .bot_experience import check_readable, read_experience
from .collate_games import alike, pack, side_by_side

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from ...common.process.shutdown import Stop
    from ...common.server.keys import Keys
    from ...common.spec import RunSpec
    from ...common.wire.archive_format import ArchivedEntry
    from ...common.wire.trajectory import Trajectory
    from .bot_experience import PlayedGame, Reading

_ENTRY_STEPS = 2048  # in one entry of games that are cut into pieces: an update's worth
_POLL_S = 0.05
# An archived entry that was rejected for one of these was sound: only its time, or its run's policy, was against it.
_SOUND = {"", "stale", "too_old", "wrong_epoch", "off_run"}


@dataclass(slots=True)
class Report:
    """What became of the files."""

    taken: int = 0  # files
    rejected: dict[str, str] = field(default_factory=dict)  # file to why
    games: int = 0
    steps: int = 0
    entries: int = 0  # pushed
    skipped: Counter[str] = field(default_factory=Counter)  # archived entries that were not sound, by reason
    interrupted: bool = False

    def to_json(self) -> dict[str, Any]:
        """For scripts."""
        return {
            "taken": self.taken,
            "rejected": self.rejected,
            "games": self.games,
            "steps": self.steps,
            "entries": self.entries,
            "skipped": dict(self.skipped),
            "interrupted": self.interrupted,
        }


def import_files(
    url: str, keys: Keys, actor: str, files: Sequence[Path], reading: Reading | None, stop: Stop
) -> Report:
    """Push what is sound in the files into a run's streams, and say what became of each.

    Args:
        url: the server.
        keys: the run's.
        actor: the name to join under.
        files: experience files of the original bot, and archive segments (which end in .archive).
        reading: how experience files are to be understood; None if there are none.
        stop: ends it early, between two entries.

    Raises:
        ConfigError: if the run's learner does not take such games, or its game cannot have such files.
        RedisUnreachable, RedisDenied: if the first attempt to connect fails.
    """
    report = Report()
    uplink = BlockingActorConnection(url, keys.run, actor)
    spec = uplink.read_spec(stop)
    if spec is None or not _learner_takes_them(url, keys, stop):
        report.interrupted = True
        return report
    if reading is not None:
        check_readable(spec.game)
        reading = replace(reading, state_fit=reading.state_fit or spec.rollout.state_fit)
    uplink.join(spec)
    try:
        for trajectory in _trajectories(files, reading, spec, report):
            uplink.push([Fragment(trajectory, None)], stop)
            report.entries += 1
            report.games += trajectory.games
            report.steps += trajectory.steps
            uplink.wait_for_room(stop)
            if stop.requested:
                report.interrupted = True
                break
    finally:
        uplink.leave()
    return report


def _learner_takes_them(url: str, keys: Keys, stop: Stop) -> bool:
    """Wait for the learner to have said whether it takes imported games; False if told to stop before."""
    server = Server(url)
    try:
        while not stop.requested:
            accepts = server.call("HGET", keys.stats, "accept_imported") or server.call(
                "HGET", keys.stats, old_name("accept_imported")
            )  # a learner that resumed says so with its first commit only
            if accepts == b"1":
                return True
            if accepts is not None:
                raise ConfigError(
                    f"run: {keys.run!r}, whose learner rejects games that no version of the run played, expected one "
                    "started with --accept-declared"
                )
            time.sleep(_POLL_S)
        return False
    finally:
        server.close()


def _trajectories(
    files: Sequence[Path], reading: Reading | None, spec: RunSpec, report: Report
) -> Iterator[Trajectory]:
    """What is to be pushed, file by file; a file counts as taken once all of it was asked for."""
    whole = spec.rollout.unroll == "games"
    longest = spec.rollout.length if whole else None
    waiting: list[PlayedGame] = []
    for file in files:
        try:
            if file.name.endswith(SUFFIX):
                yield from _archived(file, spec, report)
                report.taken += 1
                continue
            assert reading is not None
            game = read_experience(file, spec.game, reading, longest)
        except (WireError, OSError) as error:
            report.rejected[str(file)] = str(error)
            continue
        waiting.append(game)
        if whole or sum(len(each.actions) for each in waiting) >= _ENTRY_STEPS:
            yield pack(waiting, spec)
            report.taken += len(waiting)
            waiting.clear()
    if waiting:
        yield pack(waiting, spec)
        report.taken += len(waiting)


def _archived(file: Path, spec: RunSpec, report: Report) -> Iterator[Trajectory]:
    """The sound entries of an archive segment, as they were cut; short pieces, not whole games, together in one.

    What stands before a tear is taken; the tear is raised at the end.
    """
    theirs, entries = read_segment(file)
    for name in ("observation_shape", "actions", "masked", "wins"):
        if getattr(theirs.game, name) != getattr(spec.game, name):
            raise WireError(f"{name}: {getattr(theirs.game, name)}, expected {getattr(spec.game, name)}")
    if theirs.rollout.unroll != spec.rollout.unroll or theirs.rollout.length > spec.rollout.length:
        raise WireError(
            f"rollout: {theirs.rollout.unroll} of up to {theirs.rollout.length}, expected {spec.rollout.unroll} of up "
            f"to {spec.rollout.length}"
        )
    fragments = _Pieces(theirs, entries, report)
    waiting: list[Trajectory] = []
    for fragment in fragments:
        if waiting and not alike(waiting[0], fragment):
            yield side_by_side(waiting)
            waiting = []
        waiting.append(fragment)
        if spec.rollout.unroll == "games" or sum(each.valid.size for each in waiting) >= _ENTRY_STEPS:
            yield side_by_side(waiting)
            waiting = []
    if waiting:
        yield side_by_side(waiting)
    if fragments.torn is not None:
        raise fragments.torn


class _Pieces:
    """The sound ones of a segment, up to its end or to where it is torn."""

    def __init__(self, spec: RunSpec, entries: Iterator[ArchivedEntry], report: Report) -> None:
        self._spec, self._entries, self._report = spec, entries, report
        self.torn: WireError | None = None

    def __iter__(self) -> Iterator[Trajectory]:
        try:
            for entry in self._entries:
                reason = entry.rejected
                if reason in _SOUND:
                    try:
                        yield entry.trajectory(self._spec)
                        continue
                    except WireError:
                        reason = "invalid"
                self._report.skipped[reason] += 1
        except WireError as error:
            self.torn = error
