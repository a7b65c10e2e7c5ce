"""What the embedded server held when `up --client` ended: bots' games, acknowledged and not yet trained on."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

from ...common.errors import BroodmindError
from ...common.process.log import Log
from ..records.run_folder import checkpoints_in, head_of

if TYPE_CHECKING:
    from pathlib import Path

    from ...common.server.keys import Keys
    from .embedded_server import EmbeddedServer

_log = Log("up")


def keep(embedded: EmbeddedServer, keys: Keys) -> None:
    """Keep the server's data for the next start, after the learner has ended. Without it the checkpoints are left."""
    from ...common.server.streams import Server

    try:
        with closing(Server(embedded.url)) as server:
            begun = server.call("EXISTS", keys.head)
        if begun:
            embedded.keep()
    except BroodmindError as error:
        _log.warning("the games that wait are not kept for the next start", error=error)


def continue_from_kept(embedded: EmbeddedServer, keys: Keys, checkpoints: Path) -> None:
    """Let the run go on with the data of the last start, if it was kept.

    A learner opens an epoch where another server process than the one of its last commit may lack newer ones. What was
    kept lacks none, as it was written after the learner had ended. It is removed at once: a crash would leave it behind
    what is trained from now on. If the run was trained on another server meanwhile, its newest checkpoint is newer than
    what was kept, which is not used then.
    """
    from ...common.server.streams import Server
    from ...learner.commit.lease import server_id_of

    embedded.wait_until_up()
    if not embedded.forget_kept():
        return
    newest = next(iter(reversed(checkpoints_in(checkpoints))), None)
    with closing(Server(embedded.url)) as server:
        epoch, version = server.call("HMGET", keys.head, "epoch", "version")
        if epoch is None or version is None:
            return
        if newest is not None and head_of(newest) > (int(epoch), int(version)):
            server.call("FLUSHALL")
            _log.warning("games that were kept are older than the newest checkpoint, not used", checkpoint=newest)
            return
        server.call("HSET", keys.head, "server", server_id_of(server))
