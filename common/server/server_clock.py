"""The server's clock, as a process measures it by TIME: what times in entries, and their ages, are by.

Clocks of different machines differ. By its own clock an actor that is a day behind would send games a day old.
"""

from __future__ import annotations

import math
from collections import deque
from typing import TYPE_CHECKING, Any

from ..errors import RedisDenied
from ..process.clock import monotonic_s, now_ms
from ..process.log import Log

if TYPE_CHECKING:
    from collections.abc import Callable

_log = Log("clock")

# A round trip of its own each: of a thousand actors in lock step, one every 5 s took a twentieth of the time.
_FIRST_EVERY_S, _FIRST = 5.0, 4
_EVERY_S = 30.0
SKEW_MAX_MS = 5000  # more is worth a warning
_MEASUREMENTS = 8  # of these the one with the shortest round trip counts
_RESOLUTION_MS = 1
_DRIFT_MS = 50  # by which clocks may drift apart within as many measurements


class ServerClock:
    """The server's time, from this machine's clock and the difference that was measured last.

    One thread measures; any thread may ask for the time.
    """

    def __init__(self, local_ms: Callable[[], int] | None = None) -> None:
        """Args: local_ms: this machine's clock, if it is another than `now_ms`."""
        self._local_ms = local_ms or now_ms
        self._measured: deque[tuple[int, int]] = deque(maxlen=_MEASUREMENTS)  # round trip, and what it says
        self._warned = self._denied = False
        self._count, self._due_s = 0, -math.inf
        self._apart_ms = 0.0  # this machine's clock minus its monotonic one, as of the last measurement
        self.offset_ms = 0  # the server's clock minus this machine's; 0 before it is measured

    def now_ms(self) -> int:
        """The server's time in milliseconds since 1970."""
        return self._local_ms() + self.offset_ms

    @property
    def skew_ms(self) -> int:
        """By how much this machine's clock is ahead of the server's."""
        return -self.offset_ms

    def keep(self, call: Callable[..., Any]) -> None:
        """Measure if it is time to, or if this machine's clock was set since. `call` is as in `measure`."""
        if monotonic_s() < self._due_s and abs(self._apart() - self._apart_ms) <= _DRIFT_MS:
            return
        self.measure(call)
        self._count += 1
        self._due_s = monotonic_s() + (_FIRST_EVERY_S if self._count < _FIRST else _EVERY_S)
        self._apart_ms = self._apart()

    def doubt(self) -> None:
        """Let it be measured next time: the next server may have another clock."""
        self._count, self._due_s = 0, -math.inf

    def measure(self, call: Callable[..., Any]) -> None:
        """Ask for the time, in a round trip of its own.

        Args:
            call: sends a command and returns its reply, as `Server.call`. What it raises is raised here; a user without
                the right to TIME goes by this machine's clock.
        """
        if self._denied:
            return
        sent_ms = self._local_ms()
        try:
            seconds, microseconds = call("TIME")
        except RedisDenied as error:
            self._denied = True
            _log.warning("server's time not known, going by this machine's clock", error=error)
            return
        self.observe(sent_ms, int(seconds) * 1000 + int(microseconds) // 1000, self._local_ms())

    def observe(self, sent_ms: int, server_ms: int, received_ms: int) -> None:
        """Take in a measurement: the server's time, between two of this machine's times.

        The server's clock is that of the middle, give or take half of the round trip: clocks that may well agree are
        taken to agree. Of the last few measurements the one with the shortest round trip counts, unless the newest
        contradicts it, since a clock was set then.
        """
        round_trip_ms = max(received_ms - sent_ms, 0)
        offset_ms = server_ms - (sent_ms + received_ms) // 2
        if abs(offset_ms) <= round_trip_ms / 2 + _RESOLUTION_MS:
            offset_ms = 0
        if self._measured:
            best_ms, best_offset_ms = self._best()
            if abs(offset_ms - best_offset_ms) > (round_trip_ms + best_ms) / 2 + _DRIFT_MS:
                self._measured.clear()
        self._measured.append((round_trip_ms, offset_ms))
        _, self.offset_ms = self._best()
        self._warn()

    def _apart(self) -> float:
        return self._local_ms() - 1000 * monotonic_s()

    def _best(self) -> tuple[int, int]:
        """Of the measurements with the shortest round trip, the newest."""
        return min(reversed(self._measured), key=lambda each: each[0])

    def _warn(self) -> None:
        """Say once that the clocks differ, and again only after they have agreed."""
        differ = abs(self.offset_ms) > SKEW_MAX_MS
        if differ and not self._warned:
            _log.warning(
                "this machine's clock differs from the server's, times are corrected", ahead_s=self.skew_ms / 1000
            )
        self._warned = differ
