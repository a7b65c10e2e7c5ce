"""A real connection whose next exchanges meet the faults that a test asks for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from broodmind.common.errors import RedisUnreachable
from broodmind.common.server.streams import NotNow, Server

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

# What an exchange meets: nothing, a connection that breaks before or after the server has executed it, or a function
# that is given the way to the server and the commands, and returns the replies.
Fault = object


class FaultyServer(Server):
    """As `Server`; `faults` has one item for each exchange to come, and `rule` decides where there is none."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self.faults: list[Fault] = []
        self.rule: Callable[[Sequence], Fault] = lambda _: None

    def replies(self, commands):
        fault = self.faults.pop(0) if self.faults else self.rule(commands)
        if callable(fault):
            try:
                found = fault(super().replies, commands)
            except RedisUnreachable:
                self.close()
                raise
            if any(isinstance(reply, NotNow) for reply in found):
                self.close()
            return found
        if fault == "request lost":
            self.close()
            raise RedisUnreachable(fault)
        found = super().replies(commands)
        if fault == "reply lost":
            self.close()
            raise RedisUnreachable(fault)
        return found
