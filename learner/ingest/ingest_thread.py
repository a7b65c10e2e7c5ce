"""The ingest thread: the order of reads and roster updates, and the pauses between them."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

from ...common.errors import BroodmindError
from ...common.process.clock import Every
from ...common.process.log import Log

if TYPE_CHECKING:
    from ..ledger.stream_entry import Entry
    from .stream_reader import StreamReader

_log = Log("ingest")

_ROSTER_EVERY_S = 0.2
_DEMAND_EVERY_S = 0.05  # how soon actors hear that a commit has made room
_DEMAND_SHARE = 0.02  # of the time at most is spent on that: with a thousand actors it is less often
_POLL_MIN_S, _POLL_MAX_S = 0.0005, 0.02
_REST = 4  # pause this many times as long as a request took: with a thousand streams each request is expensive
_JOIN_TIMEOUT_S = 10.0  # longer than the connection's timeout, which limits each call of the thread


class IngestThread:
    """Reads in a thread of its own, from `start` to `close`. `take` returns the entries in the order of reading."""

    def __init__(self, reader: StreamReader, strike_off_every_s: float) -> None:
        """Create the thread, and do not start it.

        Args:
            reader: reads the streams.
            strike_off_every_s: the time between two searches for silent actors.
        """
        self.reader = reader
        self._roster_due, self._strike_off_due = Every(_ROSTER_EVERY_S), Every(strike_off_every_s)
        self._demand_due = Every(_DEMAND_EVERY_S)
        self._pause = PollPause()
        self._closing = False
        self._thread = threading.Thread(target=self._run, name="ingest", daemon=True)

    def start(self) -> None:
        """Begin to read. Entries that an earlier learner left pending come first."""
        self._thread.start()

    def close(self) -> None:
        """Stop reading and wait for the thread. What was read and not committed stays pending in Redis."""
        self._closing = True
        if self._thread.ident is not None:  # it may not have been started yet
            self._thread.join(timeout=_JOIN_TIMEOUT_S)
        self.reader.close()

    def take(self, timeout_s: float) -> Entry | None:
        """The next entry, or None after `timeout_s` without one. Raises the error that ended the thread."""
        return self.reader.queue.take(timeout_s)

    @property
    def blocked_s(self) -> float:
        """For how long no actor has been left that may send more before the next version."""
        return self.reader.standstill.blocked_s

    @property
    def actors(self) -> frozenset[str]:
        """The actors being read."""
        return self.reader.roster.actors

    def turn(self) -> float:
        """Do the periodic tasks that are due, then read once. Returns the seconds to wait before the next turn."""
        reader = self.reader
        if self._roster_due.due():
            reader.follow_roster()
            reader.watch_for_standstill()
        if self._demand_due.due():
            began_s = time.thread_time()
            reader.publish_demand()
            self._demand_due.postpone((time.thread_time() - began_s) / _DEMAND_SHARE)
        if not reader.reads.under_way and self._strike_off_due.due():  # a requested read may include that stream
            reader.strike_off_silent()
        began_s = time.thread_time()
        came = reader.read()
        return self._pause.after(came=came, busy_s=time.thread_time() - began_s, asking_s=reader.asking_s)

    def _run(self) -> None:
        try:
            self._strike_off_due.due()  # start its period: actors may not have sent a heartbeat yet
            while not self._closing:
                time.sleep(self.turn())
        except BroodmindError as error:
            self.reader.queue.fail(error)
        except Exception as error:  # noqa: BLE001 - a thread's error must end the process, not vanish with the thread
            _log.warning("ingest failed", error=repr(error))
            self.reader.queue.fail(BroodmindError(f"ingest: {error!r}"))


class PollPause:
    """The pause between two reads.

    It doubles with each read that brings nothing. It is also so long that requests which bring little take at most a
    fifth of the time; the time of decoding counts like a pause.
    """

    def __init__(self) -> None:
        self._pause_s = _POLL_MIN_S

    def after(self, *, came: bool, busy_s: float, asking_s: float) -> float:
        """The pause after a read, in seconds.

        Args:
            came: whether the read brought an entry.
            busy_s: CPU time of the read, decoding included.
            asking_s: the part of `busy_s` for the request, if the request brought little; otherwise 0.
        """
        if came:
            self._pause_s, least_s = _POLL_MIN_S, 0.0
        else:
            self._pause_s, least_s = min(2 * self._pause_s, _POLL_MAX_S), self._pause_s
        return max(least_s, _REST * asking_s - (busy_s - asking_s))
