"""A real connection with faults in its next exchanges, as a test requires."""

from __future__ import annotations

from typing import TYPE_CHECKING

from broodmind.common.errors import RedisUnreachable
from broodmind.common.server.streams import NotNow, Server

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

# None; "request lost" or "reply lost", for a connection that breaks before or after the server has executed the
# commands; or a function that is called with the real `replies` method and the commands, and returns the replies.
Fault = object


class FaultyServer(Server):
    """Like `Server`. `faults` has the faults of the next exchanges; after these, `rule` chooses the fault."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self.faults: list[Fault] = []
        self.rule: Callable[[Sequence], Fault] = lambda _: None

    def replies(self, commands):
        if commands[0][0] == "TIME":  # asked for now and then: no exchange that faults are counted by
            return super().replies(commands)
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
