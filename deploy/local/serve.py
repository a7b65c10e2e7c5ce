"""`broodmind actors --serve`: one process that plays for games of other programs."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import click

from ...actors.client.agent import connect
from ...actors.serve.server import listen, serve

if TYPE_CHECKING:
    from pathlib import Path

    from ...common.process.shutdown import Stop

_CLOSE_S = 5.0  # for what is not yet in Redis
_PLAYING = ("game", "envs", "hold_back", "actors", "map", "opponent", "game_seconds")
_SUPERVISING = ("no_progress_seconds", "max_attempt_seconds")


def serve_games(
    url: str,
    run: str,
    address: str,
    stop: Stop,
    *,
    name: str | None,
    records: Path | None,
    spool_dir: str | None,
    journal: Path | None,
) -> None:
    """Serve until the stop. Where it listens is told in one line of JSON on standard output."""
    listener = listen(address)
    with listener, connect(url, run, name=name, records=records, spool_dir=spool_dir, journal=journal) as agent:
        host, port = listener.getsockname()[:2]
        click.echo(json.dumps({"host": host, "port": port, "run": run, "actor": agent.actor}))
        serve(agent, listener, stop)
        agent.close(_CLOSE_S)


def check_options(context: click.Context) -> None:
    """Refuse options that belong to the other way of using the command. Raises click.UsageError."""
    serving = context.params["address"] is not None
    for name in (*_PLAYING, *_SUPERVISING) if serving else ("spool_dir",):
        if context.get_parameter_source(name) is click.core.ParameterSource.COMMANDLINE:
            flag, expected = f"--{name.replace('_', '-')}", "not with" if serving else "only with"
            raise click.UsageError(f"{flag}: {context.params[name]}, expected {expected} --serve", context)
