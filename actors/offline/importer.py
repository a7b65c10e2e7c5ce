"""Imports games that no version of the run has played: the original bot's experience files and archive segments.

The importer acts as an actor: it joins the roster, pushes entries and waits for the learner. Its entries are marked as
imported.
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
from .collate_games import can_concatenate, collate_games, concatenate_columns

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from ...common.process.shutdown import Stop
    from ...common.server.keys import Keys
    from ...common.spec import RunSpec
    from ...common.wire.archive_format import ArchivedEntry
    from ...common.wire.trajectory import Trajectory
    from .bot_experience import ExperienceOptions, PlayedGame

_ENTRY_STEPS = 2048  # steps in one entry of games that are cut into fragments: about one update
_POLL_S = 0.05
# The contents of an archived entry are valid if it was accepted (""), or rejected for one of these reasons.
_VALID = {"", "stale", "too_old", "wrong_epoch", "off_run"}


@dataclass(slots=True)
class ImportReport:
    """The result of an import."""

    taken: int = 0  # number of files imported
    rejected: dict[str, str] = field(default_factory=dict)  # file to reason
    games: int = 0
    steps: int = 0
    entries: int = 0  # pushed
    skipped: Counter[str] = field(default_factory=Counter)  # number of invalid archived entries, by reason
    interrupted: bool = False

    def to_json(self) -> dict[str, Any]:
        """The object that `broodmind import --json` prints."""
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
    url: str, keys: Keys, actor: str, files: Sequence[Path], options: ExperienceOptions | None, stop: Stop
) -> ImportReport:
    """Push the games in valid files into the actor's stream.

    Args:
        url: the Redis server.
        keys: the keys of the run.
        actor: the importer's name as an actor.
        files: experience files of the original bot, and archive segments (whose names end in .archive).
        options: how to read experience files; None if there are none.
        stop: ends the import early, between two entries.

    Raises:
        ConfigError: if the run's learner rejects imported games, or experience files cannot be of the run's game.
        RedisUnreachable, RedisDenied: if the first attempt to connect fails.
    """
    report = ImportReport()
    connection = BlockingActorConnection(url, keys.run, actor)
    spec = connection.read_spec(stop)
    if spec is None or not _learner_accepts_imports(url, keys, stop):
        report.interrupted = True
        return report
    if options is not None:
        check_readable(spec.game)
        options = replace(options, observation_fit=options.observation_fit or spec.rollout.observation_fit)
    connection.join(spec)
    try:
        for trajectory in trajectories_of(files, options, spec, report):
            connection.push([Fragment(trajectory, None)], stop)
            report.entries += 1
            report.games += trajectory.games
            report.steps += trajectory.steps
            connection.wait_for_room(stop)
            if stop.requested:
                report.interrupted = True
                break
    finally:
        connection.leave()
    return report


def _learner_accepts_imports(url: str, keys: Keys, stop: Stop) -> bool:
    """Wait until the run's stats tell whether its learner accepts imported games. Returns False if told to stop."""
    server = Server(url)
    try:
        while not stop.requested:
            accepts = server.call("HGET", keys.stats, "accept_imported") or server.call(
                "HGET", keys.stats, old_name("accept_imported")
            )  # until its first commit, a learner that resumed a run leaves the old name there
            if accepts == b"1":
                return True
            if accepts is not None:
                raise ConfigError(
                    f"run: {keys.run!r}, whose learner rejects games that no version of the run played, expected one "
                    "started with --accept-imported"
                )
            time.sleep(_POLL_S)
        return False
    finally:
        server.close()


def trajectories_of(
    files: Sequence[Path], options: ExperienceOptions | None, spec: RunSpec, report: ImportReport
) -> Iterator[Trajectory]:
    """The trajectories to push, file by file. A file counts as taken when its last trajectory has been yielded."""
    whole = spec.rollout.unroll == "games"
    max_steps = spec.rollout.fragment_length if whole else None
    waiting: list[PlayedGame] = []
    for file in files:
        try:
            if file.name.endswith(SUFFIX):
                yield from _archived(file, spec, report)
                report.taken += 1
                continue
            assert options is not None
            game = read_experience(file, spec.game, options, max_steps)
        except (WireError, OSError) as error:
            report.rejected[str(file)] = str(error)
            continue
        waiting.append(game)
        if whole or sum(len(each.actions) for each in waiting) >= _ENTRY_STEPS:
            yield collate_games(waiting, spec)
            report.taken += len(waiting)
            waiting.clear()
    if waiting:
        yield collate_games(waiting, spec)
        report.taken += len(waiting)


def _archived(file: Path, spec: RunSpec, report: ImportReport) -> Iterator[Trajectory]:
    """The valid entries of an archive segment. Short fragments (not whole games) are concatenated to larger entries.

    If the segment is damaged, the entries before the damage are yielded; then the error is raised.
    """
    theirs, entries = read_segment(file)
    for name in ("observation_shape", "observation_dtype", "actions", "masked", "wins"):
        if getattr(theirs.game, name) != getattr(spec.game, name):
            raise WireError(f"{name}: {getattr(theirs.game, name)}, expected {getattr(spec.game, name)}")
    if theirs.rollout.unroll != spec.rollout.unroll or theirs.rollout.fragment_length > spec.rollout.fragment_length:
        cuts = [f"{each.unroll} of up to {each.fragment_length}" for each in (theirs.rollout, spec.rollout)]
        raise WireError(f"rollout: {cuts[0]}, expected {cuts[1]}")
    fragments = _ArchivedFragments(theirs, entries, report)
    waiting: list[Trajectory] = []
    for fragment in fragments:
        if waiting and not can_concatenate(waiting[0], fragment):
            yield concatenate_columns(waiting)
            waiting = []
        waiting.append(fragment)
        if spec.rollout.unroll == "games" or sum(each.valid.size for each in waiting) >= _ENTRY_STEPS:
            yield concatenate_columns(waiting)
            waiting = []
    if waiting:
        yield concatenate_columns(waiting)
    if fragments.error is not None:
        raise fragments.error


class _ArchivedFragments:
    """The trajectories of a segment's valid entries, up to its end or to the first damaged record (`error`)."""

    def __init__(self, spec: RunSpec, entries: Iterator[ArchivedEntry], report: ImportReport) -> None:
        self._spec, self._entries, self._report = spec, entries, report
        self.error: WireError | None = None

    def __iter__(self) -> Iterator[Trajectory]:
        try:
            for entry in self._entries:
                reason = entry.rejected
                if reason in _VALID:
                    try:
                        yield entry.trajectory(self._spec)
                        continue
                    except WireError:
                        reason = "invalid"
                self._report.skipped[reason] += 1
        except WireError as error:
            self.error = error
