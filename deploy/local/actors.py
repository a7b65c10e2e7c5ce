"""`broodmind actors`: runs actor processes under a supervisor; and the entry point of one actor process."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import click

from ...common.errors import ConfigError, GameError
from ...common.process.process_setup import prepare_to_compute
from ...common.process.shutdown import stop_on_signal, stop_with_parent
from ..config.effective import effective, server_url
from ..config.given import COMMAND_LINE
from ..config.inherited import hand_over
from ..config.options import SettingsCommand, with_settings
from ..config.tree import entries
from ..recording.run_start import make_folders

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ...actors.supervision.progress_pipe import ProgressPipe
    from ..config.given import Given
    from ..config.tree import Config

_PAUSE_S = 60.0  # before the next start of an actor that failed repeatedly; the other actors continue
_SETTINGS = ("run", "game", "game_args", "connection", "actors", "supervision", "starcraft2", "serve")
_PLAYING = ("game", "game_args", "envs", "policy_lag", "metric", "actors", "map", "opponent", "game_seconds")
_SUPERVISING = ("no_progress_seconds", "max_attempt_seconds")


@click.command(cls=SettingsCommand)
@with_settings(*_SETTINGS)
@click.option("--lifeline", is_flag=True, hidden=True)
def actors(given: Given, *, lifeline: bool) -> None:
    """Run actors of a run, each in a process of its own, until Ctrl-C.

    With --serve it plays no game itself: it is a local server for games in other programs (docs/serve.md).
    """
    prepare_to_compute()
    _check_options(given)
    config = effective(given)
    _check_files(config)
    if config.serve.serve is None:
        run_actors(given, config)
        return
    from .serve import serve_games

    with stop_on_signal() as stop:
        if lifeline:
            stop_with_parent(stop)
        serve_games(server_url(given), config, stop)


@click.command(hidden=True)
@with_settings(*_SETTINGS, inherits=True)
def actor(given: Given, *, inherit: str | None) -> None:  # noqa: ARG001 - an actor always ends with its parent
    """Run one actor process. `broodmind actors` and `broodmind up` start these processes."""
    prepare_to_compute()
    run_actor(server_url(given), effective(given))


def run_actors(given: Given, config: Config) -> None:
    """Keep actor processes running until a signal arrives."""
    from ...actors.supervision.supervisor import Supervisor, wait_all
    from ...actors.transport.actor_names import process_name
    from ...common.server.streams import Server
    from .process_slots import actor_slots

    _check_map(config)
    records = config.supervision.records
    with stop_on_signal() as stop:
        url = server_url(given)
        server = Server(url)
        server.call("PING")  # a wrong address or password ends this process, before any child is started
        server.close()
        name = config.actors.name or process_name()
        slots = actor_slots(hand_over(given, url), config, config.actors.actors, name)
        supervisor = Supervisor(slots, _PAUSE_S, records)
        try:
            wait_all(supervisor, lambda: stop.requested)
        finally:
            supervisor.stop()


def run_actor(url: str, config: Config) -> None:
    """Run one actor in this process: until it is stopped, or for one game of StarCraft II."""
    from ...actors.games.starcraft2_spec import NAME as STARCRAFT2
    from ...actors.supervision.progress_pipe import HeartbeatStop, supervised_child

    playing = config.actors
    if playing.name is None:
        raise ConfigError("name: none, expected the actor's name")
    with supervised_child() as (stop, progress), _reported(progress):
        if config.game == STARCRAFT2:
            from ...actors.starcraft2.actor import play
            from ...actors.starcraft2.match import Match

            chosen = config.starcraft2
            match = Match(chosen.map or "", chosen.opponent, chosen.game_seconds)
            play(url, config.run, playing.name, match, stop, progress)
        else:
            from ...actors.loop import act

            stopping = HeartbeatStop(stop, progress)
            act(
                *(url, config.run, playing.name, config.game, playing.envs, stopping, playing.policy_lag),
                *(playing.journal, config.game_args, playing.metric, lambda text: progress.report(warning=text)),
            )


@contextlib.contextmanager
def _reported(progress: ProgressPipe) -> Iterator[None]:
    """Report an error of the game, which the supervisor tells and compares with the one before."""
    try:
        yield
    except GameError as error:
        progress.report(error=str(error))
        raise


def _check_files(config: Config) -> None:
    """Raise ConfigError if a file or a folder that the settings name cannot be written."""
    records = config.supervision.records
    if records is not None:
        try:
            records.open("ab").close()
        except OSError as error:
            raise ConfigError(f"records: {str(records)!r}, expected a file that can be written ({error})") from error
    make_folders(config)


def _check_map(config: Config) -> None:
    from ...actors.games.starcraft2_spec import NAME as STARCRAFT2

    chosen, arena = config.game, config.starcraft2.map
    if chosen == STARCRAFT2 and not arena:
        raise ConfigError(f"map: none with --game {STARCRAFT2}, expected --map NAME")
    if chosen != STARCRAFT2 and arena:
        raise ConfigError(f"map: {arena!r} with --game {chosen}, expected --game {STARCRAFT2}")


def _check_options(given: Given) -> None:
    """Raise click.UsageError for an option that has no effect with --serve, or without it."""
    serving = "serve" in given.values
    for name in (*_PLAYING, *_SUPERVISING) if serving else ("spool_dir",):
        if given.sources.get(name) == COMMAND_LINE:
            expected = "only without" if serving else "only with"
            raise click.UsageError(f"{entries()[name].option}: {given.values[name]}, expected {expected} --serve")
