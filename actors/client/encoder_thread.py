"""The encoder thread: it takes finished episodes over from the game, writes their records, and encodes their data.

What has ended within a few milliseconds is encoded together, so that many small games travel in one entry.
"""

from __future__ import annotations

import queue
import threading
from collections import Counter
from typing import TYPE_CHECKING

from ...common.process.clock import now_ms
from ...common.process.log import Log
from ...common.wire.trajectory import encode_trajectory
from .overflow import Unsent
from .packing import PackLimit, grouped, grouped_evaluations, to_evaluation_header, to_header, to_trajectory

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from ..transport.delivery import Delivery
    from .episode import FinishedEpisode
    from .episode_buffer import EvaluationGame, RecordedGame
    from .episode_record import Outcome
    from .open_games import OpenGames

_log = Log("client")

_WAIT_S = 0.01  # for further games; little against the time between two of the learner's updates


class EncoderThread:
    """Runs from `start` to `close`. The game hands an episode over and continues, so a slow disk cannot delay it."""

    def __init__(
        self,
        actor: str,
        delivery: Delivery,
        records: Path | None,
        open_games: OpenGames,
        limit: Callable[[], PackLimit] = PackLimit,
    ) -> None:
        """Prepare the thread.

        Args:
            actor: the actor's name.
            delivery: takes the entries.
            records: the file for the records; None: none are written.
            open_games: the games that are played and recorded; those that are in an entry are taken out.
            limit: up to how much is put into one entry.
        """
        self.outcomes: Counter[Outcome] = Counter()
        self.untrained = 0  # ended, not aborted, not given up, no evaluation, and not to be trained on
        self.evaluations = 0  # played greedily, to evaluate a version
        self._actor, self._delivery, self._records = actor, delivery, records
        self._open_games, self._limit = open_games, limit
        # A SimpleQueue's put never blocks, and may be called from a signal handler during another put.
        self._inbox: queue.SimpleQueue[FinishedEpisode | threading.Event | None] = queue.SimpleQueue()
        self._unencoded: dict[str, tuple[int, int]] = {}  # steps and bytes of each game that is in no entry yet, by id
        self._hurry = threading.Event()  # somebody waits for what has been handed over
        self._thread = threading.Thread(target=self._run, name="broodmind-encoder", daemon=True)

    def start(self) -> None:
        """Begin to work."""
        self._thread.start()

    def put(self, finished: FinishedEpisode) -> None:
        """Hand an episode over; returns at once."""
        if finished.game is not None:
            self._unencoded[finished.game.id] = (finished.game.steps, finished.game.bytes)
        self._inbox.put(finished)

    @property
    def unencoded(self) -> Unsent:
        """The games that were handed over and are in no entry yet: many, if a game never sleeps."""
        sizes = list(self._unencoded.values())
        return Unsent(len(sizes), sum(steps for steps, _ in sizes), sum(payload_bytes for _, payload_bytes in sizes))

    def flush(self, timeout_s: float) -> bool:
        """Wait up to `timeout_s` until what was handed over before now is queued. Returns True if all of it is."""
        reached = threading.Event()
        self._inbox.put(reached)
        self._hurry.set()
        return reached.wait(timeout_s)

    def close(self, timeout_s: float) -> None:
        """Finish what was handed over before now, and end."""
        self._inbox.put(None)
        self._hurry.set()
        self._thread.join(max(timeout_s, 0))

    def _run(self) -> None:
        told_to_end = False
        while not told_to_end:
            items = self._collect()
            told_to_end = None in items
            try:
                self._handle([item for item in items if not (item is None or isinstance(item, threading.Event))])
            except Exception as error:  # noqa: BLE001 - an error in one episode must not lose those that follow
                _log.warning("records not written", error=repr(error))
            for item in items:
                if isinstance(item, threading.Event):
                    item.set()

    def _collect(self) -> list[FinishedEpisode | threading.Event | None]:
        """What was handed over; if that is little, what follows within a few milliseconds too."""
        items = [self._inbox.get()]
        self._hurry.clear()
        items += self._waiting()
        if self._is_little(items):
            self._hurry.wait(_WAIT_S)
            items += self._waiting()
        return items

    def _waiting(self) -> list[FinishedEpisode | threading.Event | None]:
        return [self._inbox.get() for _ in range(self._inbox.qsize())]

    def _is_little(self, items: Sequence[FinishedEpisode | threading.Event | None]) -> bool:
        """Whether to wait for more: nobody waits for these, and their entry has room for more."""
        steps = games = payload_bytes = 0
        for item in items:
            if item is None or isinstance(item, threading.Event):
                return False
            if item.game is not None:
                steps, games, payload_bytes = steps + item.game.steps, games + 1, payload_bytes + item.game.bytes
            games += item.evaluation is not None
        return not self._limit().reached(steps, games, payload_bytes)

    def _handle(self, finished: Sequence[FinishedEpisode]) -> None:
        for games in grouped((each.game for each in finished if each.game is not None), self._limit()):
            self._keep(games)
        evaluations = (each.evaluation for each in finished if each.evaluation is not None)
        for evaluated in grouped_evaluations(evaluations, self._limit()):
            self._keep_evaluations(evaluated)
        for each in finished:  # only now: a game that the status shows is in the queue, and in the spool
            self._open_games.remove(each.record.id)
            self.outcomes[each.record.outcome] += 1
            self.evaluations += each.evaluation is not None
            known = each.record.trained_on or each.given_up or each.evaluation is not None
            self.untrained += not (known or each.record.outcome == "aborted")
        if self._records is not None and finished:
            self._write(self._records, "".join(each.record.to_json() + "\n" for each in finished))

    def _keep(self, games: Sequence[RecordedGame]) -> None:
        try:
            self._encode(games)
        except Exception as error:  # noqa: BLE001 - an error in one game must not lose the others
            if len(games) > 1:
                for game in games:
                    self._keep([game])
            else:
                self._unencoded.pop(games[0].id, None)
                _log.warning("game not kept", episode=games[0].id, error=repr(error))

    def _encode(self, games: Sequence[RecordedGame]) -> None:
        trajectory = to_trajectory(games)
        payload = encode_trajectory(trajectory, self._actor, games[0].spec)
        for game in games:
            self._open_games.remove(game.id)
            self._unencoded.pop(game.id, None)
        self._delivery.put(to_header(games, trajectory, now_ms(), self._open_games.since_ms), payload)

    def _keep_evaluations(self, games: Sequence[EvaluationGame]) -> None:
        for game in games:
            self._open_games.remove(game.id)
        self._delivery.put(to_evaluation_header(games, now_ms(), self._open_games.since_ms), b"")

    def _write(self, records: Path, lines: str) -> None:
        try:
            with records.open("a", encoding="utf-8") as file:
                file.write(lines)
        except OSError as error:
            _log.warning("record not written", file=records, error=error)
