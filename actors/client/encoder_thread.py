"""The encoder thread: it takes finished episodes over from the game, writes their records, and encodes their data."""

from __future__ import annotations

import queue
import threading
from collections import Counter
from typing import TYPE_CHECKING

from ...common.process.clock import now_ms
from ...common.process.log import Log
from ...common.wire.entry_header import Header
from ...common.wire.trajectory import encode_trajectory
from .episode_buffer import to_trajectory

if TYPE_CHECKING:
    from pathlib import Path

    from ..transport.delivery import Delivery
    from .episode import FinishedEpisode
    from .episode_record import EpisodeRecord, Outcome

_log = Log("client")


class EncoderThread:
    """Runs from `start` to `close`. The game hands an episode over and continues, so a slow disk cannot delay it."""

    def __init__(self, actor: str, delivery: Delivery, records: Path | None) -> None:
        self.outcomes: Counter[Outcome] = Counter()
        self.untrained = 0  # ended, not aborted, and not to be trained on
        self._actor, self._delivery, self._records = actor, delivery, records
        # A SimpleQueue's put never blocks, and may be called from a signal handler during another put.
        self._inbox: queue.SimpleQueue[FinishedEpisode | threading.Event | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="broodmind-encoder", daemon=True)

    def start(self) -> None:
        """Begin to work."""
        self._thread.start()

    def put(self, finished: FinishedEpisode) -> None:
        """Hand an episode over; returns at once."""
        self._inbox.put(finished)

    def flush(self, timeout_s: float) -> bool:
        """Wait up to `timeout_s` until what was handed over before now is queued. Returns True if all of it is."""
        reached = threading.Event()
        self._inbox.put(reached)
        return reached.wait(timeout_s)

    def close(self, timeout_s: float) -> None:
        """Finish what was handed over before now, and end."""
        self._inbox.put(None)
        self._thread.join(max(timeout_s, 0))

    def _run(self) -> None:
        while (item := self._inbox.get()) is not None:
            if isinstance(item, threading.Event):
                item.set()
                continue
            try:
                self._handle(item)
            except Exception as error:  # noqa: BLE001 - an error in one episode must not lose those that follow
                _log.warning("game not kept", episode=item.record.id, error=repr(error))

    def _handle(self, finished: FinishedEpisode) -> None:
        record = finished.record
        try:
            self._encode(finished)
        finally:  # counted last, so that a game in the status is in the queue and in the spool too
            self.outcomes[record.outcome] += 1
            self.untrained += not record.trained_on and record.outcome != "aborted"
        if self._records is not None:
            self._write(self._records, record)

    def _encode(self, finished: FinishedEpisode) -> None:
        record = finished.record
        if finished.buffer is not None and finished.end is not None and finished.policy is not None:
            spec, pointer = finished.policy.spec, finished.policy.pointer
            trajectory = to_trajectory(finished.buffer, finished.end, record.started_ms, spec)
            header = Header(
                pointer.epoch,
                (pointer.version, pointer.version),
                trajectory.steps,
                now_ms(),
                (pointer.commit, pointer.commit),
                trajectory.episodes,
            )
            self._delivery.put(header, encode_trajectory(trajectory, self._actor, spec))

    def _write(self, records: Path, record: EpisodeRecord) -> None:
        try:
            with records.open("a", encoding="utf-8") as file:
                file.write(record.to_json() + "\n")
        except OSError as error:
            _log.warning("record not written", file=records, error=error)
