"""The desk: the thread that takes in what games leave behind; it keeps records, and packs what can be trained on."""

from __future__ import annotations

import queue
import threading
from collections import Counter
from typing import TYPE_CHECKING

from ...common.process.clock import now_ms
from ...common.process.log import Log
from ...common.wire.trajectory import Header, encode_trajectory
from .episode_buffer import to_trajectory

if TYPE_CHECKING:
    from pathlib import Path

    from .episode import FinishedEpisode
    from .episode_record import EpisodeRecord, Outcome
    from .send_queue import SendQueue

_log = Log("client")


class EncoderThread:
    """Works in a thread of its own: a game only leaves its recording and goes on, and no disk can hold it up."""

    def __init__(self, actor: str, backlog: SendQueue, records: Path | None) -> None:
        self.outcomes: Counter[Outcome] = Counter()
        self.untrained = 0  # ended well, and not to be trained on
        self._actor, self._backlog, self._records = actor, backlog, records
        # A SimpleQueue's put never blocks, and may even interrupt itself.
        self._inbox: queue.SimpleQueue[FinishedEpisode | threading.Event | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="broodmind-desk", daemon=True)

    def start(self) -> None:
        """Begin to take in."""
        self._thread.start()

    def leave(self, ended: FinishedEpisode) -> None:
        """Hand over a game; returns at once."""
        self._inbox.put(ended)

    def settle(self, timeout_s: float) -> bool:
        """Whether everything left before now has been dealt with, within the time."""
        reached = threading.Event()
        self._inbox.put(reached)
        return reached.wait(timeout_s)

    def close(self, timeout_s: float) -> None:
        """Deal with what was left before now, and end."""
        self._inbox.put(None)
        self._thread.join(max(timeout_s, 0))

    def _run(self) -> None:
        while (item := self._inbox.get()) is not None:
            if isinstance(item, threading.Event):
                item.set()
                continue
            try:
                self._take_in(item)
            except Exception as error:  # noqa: BLE001 - one game must not be the end of those that follow
                _log.warning("game not kept", episode=item.attempt.id, error=repr(error))

    def _take_in(self, ended: FinishedEpisode) -> None:
        attempt = ended.attempt
        self.outcomes[attempt.outcome] += 1
        self.untrained += not attempt.trained_on and attempt.outcome != "aborted"
        if ended.recording is not None and ended.ending is not None and ended.policy is not None:
            spec, pointer = ended.policy.spec, ended.policy.pointer
            trajectory = to_trajectory(ended.recording, ended.ending, spec)
            counts = (trajectory.steps, trajectory.games)
            header = Header(pointer.version, pointer.epoch, *counts, now_ms(), pointer.commit)
            self._backlog.put(header, encode_trajectory(trajectory, self._actor, spec))
        if self._records is not None:
            self._write(self._records, attempt)

    def _write(self, records: Path, attempt: EpisodeRecord) -> None:
        try:
            with records.open("a", encoding="utf-8") as file:
                file.write(attempt.to_json() + "\n")
        except OSError as error:
            _log.warning("record not written", file=records, error=error)
