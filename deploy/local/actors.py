"""`broodmind actors`: processes that play, under a supervisor; and what each of these processes does."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ...actors.games.starcraft2_spec import NAME as STARCRAFT2
from ...actors.supervision.child_process import ProcessLimits
from ...actors.supervision.progress_pipe import HeartbeatStop, supervised_child
from ...actors.supervision.supervisor import Supervisor, wait_all
from ...actors.transport.actor_names import process_name
from ...common.errors import ConfigError
from ...common.process.shutdown import stop_on_signal
from .process_slots import actor_slots

if TYPE_CHECKING:
    from pathlib import Path

_PAUSE_S = 60.0  # of one actor that keeps failing, while the others play


def run_actors(
    url: str,
    run: str,
    actors: int,
    name: str | None,
    *,
    no_progress_seconds: float,
    max_attempt_seconds: float,
    records: Path | None,
    **playing: Any,  # noqa: ANN401 - the actor's own options, handed on
) -> None:
    """Keep actors running until a signal."""
    from ...common.server.streams import Server

    _check(playing)
    if records is not None:
        try:
            records.open("ab").close()
        except OSError as error:
            raise ConfigError(f"records: {str(records)!r}, expected a file that can be written ({error})") from error
    with stop_on_signal() as stop:
        server = Server(url)
        server.call("PING")  # a wrong address or password is this process's error, not each child's
        server.close()
        limits = ProcessLimits(no_progress_seconds or None, max_attempt_seconds or None)
        slots = actor_slots(url, run, actors, name or process_name(), playing, limits=limits)
        supervisor = Supervisor(slots, _PAUSE_S, records)
        try:
            wait_all(supervisor, lambda: stop.requested)
        finally:
            supervisor.stop()


def run_actor(
    url: str,
    run: str,
    name: str,
    game: str,
    *,
    envs: int,
    hold_back: int,
    journal: Path | None,
    map: str | None,  # noqa: A002 - StarCraft II's word
    opponent: str,
    game_seconds: int,
) -> None:
    """Be one of these actors: for ever, or for one game of a kind that wants a process to itself."""
    with supervised_child() as (stop, progress):
        if game == STARCRAFT2:
            from ...actors.starcraft2.actor import play
            from ...actors.starcraft2.match import Match

            play(url, run, name, Match(map or "", opponent, game_seconds), stop, progress)
        else:
            from ...actors.loop import act

            act(url, run, name, game, envs, HeartbeatStop(stop, progress), hold_back, journal)


def _check(playing: dict[str, Any]) -> None:
    chosen, arena = playing["game"], playing["map"]
    if chosen == STARCRAFT2 and not arena:
        raise ConfigError(f"map: none with --game {STARCRAFT2}, expected --map NAME")
    if chosen != STARCRAFT2 and arena:
        raise ConfigError(f"map: {arena!r} with --game {chosen}, expected --game {STARCRAFT2}")
