"""The game of a run for which none was given: the run's own, or the one that the first client offers."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from ...common.errors import ConfigError
from ...common.game_offer import OFFER_BYTES, game_from_json
from ...common.process.log import Log
from ...common.server.keys import NAME, Keys
from ...common.server.streams import ReplyError, Server
from ...common.spec import READABLE, RunSpec
from .checkpoints import newest_spec

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from ...common.process.shutdown import Stop
    from ...common.spec import GameSpec

_log = Log("learner")

_POLL_S = 0.1
_KEYS_A_CALL = 512


def offered_game(
    url: str, run: str, stop: Stop, checkpoints: Path | None = None, sleep: Callable[[float], None] = time.sleep
) -> GameSpec | None:
    """Wait for the run's game. An offer that cannot be read is logged and passed over.

    Args:
        url: of the server.
        run: the run's name.
        stop: ends the wait.
        checkpoints: the folder of the run's checkpoints, from which a run whose server was emptied is continued.
        sleep: between two looks.

    Returns:
        The game of the run in Redis, or else of the newest checkpoint, or else of the first client that offers one;
        None if the stop was requested before there was any.
    """
    server, keys = Server(url), Keys(run)
    unusable: dict[str, bytes] = {}
    try:
        stored = server.call("HGET", keys.spec, "json")
        if stored is not None:
            return RunSpec.from_json(stored, formats=READABLE).game
        if checkpoints is not None and (spec := newest_spec(checkpoints)) is not None:
            return spec.game
        _log.info("waiting for the game that the first client offers", run=run)
        while not stop.requested:
            for actor, text in _offers(server, keys):
                if unusable.get(actor) == text:
                    continue
                try:
                    game = game_from_json(text)
                except ConfigError as error:
                    unusable[actor] = text
                    _log.warning("offer of a game not usable", actor=actor, error=error)
                    continue
                _log.info("took the game that a client offers", actor=actor, game=game.name)
                return game
            sleep(_POLL_S)
        return None
    finally:
        server.close()


def _offers(server: Server, keys: Keys) -> list[tuple[str, bytes]]:
    """The offers that are there, by the actors' names."""
    prefix, cursor, names = keys.offer(""), b"0", set[str]()
    while True:
        cursor, found = server.call("SCAN", cursor, "MATCH", f"{prefix}*", "COUNT", _KEYS_A_CALL)
        names |= {raw.decode(errors="replace")[len(prefix) :] for raw in found}
        if cursor == b"0":
            break
    actors = sorted(name for name in names if NAME.fullmatch(name))
    # One byte more than is allowed: more is not fetched, and what is too long is seen.
    replies = server.replies([("GETRANGE", keys.offer(actor), 0, OFFER_BYTES) for actor in actors])
    return [
        (actor, text) for actor, text in zip(actors, replies, strict=True) if not isinstance(text, ReplyError) and text
    ]
