"""`broodmind actors --serve`: runs one process that serves games in other programs."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import click

from ...actors.client.agent import connect
from ...actors.serve.server import listen, serve

if TYPE_CHECKING:
    from ...common.process.shutdown import Stop
    from ..config.tree import Config

_CLOSE_S = 5.0  # time to send games that are not yet in Redis


def serve_games(url: str, config: Config, stop: Stop) -> None:
    """Serve until a stop is requested. One line of JSON on standard output has the address that it listens at."""
    with (
        listen(config.serve.serve or "") as listener,
        connect(
            url,
            config.run,
            name=config.actors.name,
            records=config.supervision.records,
            spool_dir=config.serve.spool_dir,
            journal=config.actors.journal,
        ) as agent,
    ):
        host, port = listener.getsockname()[:2]
        click.echo(json.dumps({"host": host, "port": port, "run": config.run, "actor": agent.actor}))
        serve(agent, listener, stop)
        agent.close(_CLOSE_S)
