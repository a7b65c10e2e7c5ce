"""Actors that run in threads of a test and push fragments under the latest version, as fast as pacing allows."""

from __future__ import annotations

import threading
from contextlib import contextmanager

from support.runs import NEVER, fragment, joined_connection
from support.servers import PATIENCE_S

from broodmind.common.errors import RedisUnreachable
from broodmind.common.process.shutdown import Stop


class PlayerPolicy(threading.Thread):
    """One actor. `pushed` counts acknowledged fragments."""

    def __init__(self, url: str, run: str, actor: str, stop: Stop, **options) -> None:
        super().__init__(name=f"player {actor}", daemon=True)
        self.connection, self.stop, self.pushed = joined_connection(url, run, actor, **options), stop, 0
        self.error: BaseException | None = None

    def run(self) -> None:
        try:
            while not self.stop.requested:
                latest = self.connection.latest
                if latest is None:
                    self.connection.exchange(self.stop, wait_s=0.01)
                    continue
                fragments = [fragment(latest.version, latest.epoch, self.pushed + n) for n in range(2)]
                self.connection.push(fragments, NEVER)  # without a stop, so that all of them are acknowledged
                self.pushed += len(fragments)
                self.connection.wait_for_room(self.stop)
        except RedisUnreachable as error:
            self.error = None if self.stop.requested else error
        except BaseException as error:  # noqa: BLE001
            self.error = error


@contextmanager
def playing(url: str, run: str, *actors: str, **options):
    """Actors that play to the end of the block; the server must then be there to take their last pieces.

    The options are those of `BlockingActorConnection`.
    """
    stop = Stop()
    players = [PlayerPolicy(url, run, actor, stop, **options) for actor in actors]
    for player in players:
        player.start()
    try:
        yield players
    finally:
        stop.request()
        for player in players:
            player.join(PATIENCE_S)
    for player in players:
        assert not player.is_alive()
        if player.error:
            raise player.error
        player.connection.leave()
