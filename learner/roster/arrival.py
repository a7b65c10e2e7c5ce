"""Waits until as many actors are there as a run shall begin with."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from ...common.process.clock import Every
from ...common.process.log import Log

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from ...common.process.shutdown import Stop
    from ...common.server.keys import Keys
    from ...common.server.streams import Server

_LOOK_S = 0.1
_TELL_EVERY_S = 10.0
_log = Log("learner")


def wait_for_actors(
    count: int, follow: Callable[[], Collection[str]], server: Server, keys: Keys, stop: Stop, check: Callable[[], None]
) -> bool:
    """Wait until `count` actors are on the roster and alive.

    Args:
        count: with 0 nobody is waited for.
        follow: searches for actors, and returns those on the roster; of these some may have ended long ago.
        server: for its commands.
        keys: the run's.
        stop: ends the wait.
        check: called at each look; what it raises ends the wait.

    Returns:
        False if a stop was requested.
    """
    tell = Every(_TELL_EVERY_S)
    while count:
        check()
        alive = sum(server.pipeline([("EXISTS", keys.heartbeat(name)) for name in follow()]))
        if alive >= count:
            _log.info("actors are there", count=alive)
            return True
        if stop.requested:
            return False
        if tell.due():
            _log.info("waiting for actors", there=alive, wait_for_actors=count)
        time.sleep(_LOOK_S)
    return True
