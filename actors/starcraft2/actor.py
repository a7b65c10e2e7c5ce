"""Plays one game of StarCraft II for a run: waits for a policy, plays, and waits until the trajectory is sent."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...common.errors import GameAborted, GameCrashed, RedisDenied, SpecMismatch
from ...common.process.log import Log
from ..client.agent import connect
from ..games.starcraft2_spec import SPEC
from .match import play_match

if TYPE_CHECKING:
    from ...common.process.shutdown import Stop
    from ..client.agent import Agent
    from ..supervision.progress_pipe import ProgressPipe
    from .match import Match

_log = Log("starcraft2")

_POLL_S = 0.2


def play(url: str, run: str, name: str, match: Match, stop: Stop, progress: ProgressPipe) -> None:
    """Play one game, and report its outcome to the supervisor.

    Args:
        url: the Redis server.
        run: the run's name.
        name: the actor's name.
        match: the map, the opponent and the time limit.
        stop: aborts the game when requested.
        progress: the pipe to the supervisor.

    Raises:
        ConfigError, GameCrashed, GameAborted: as `play_match`; nothing is sent then.
        SpecMismatch: before the game, if the run is for another game.
        RedisDenied: before the game, if the server denies access.
    """
    with connect(url, run, name=name, game=SPEC, restarts=True) as agent:
        if not _wait_for_policy(agent, stop, progress):
            return
        with agent.episode(map=match.map, opponent=match.opponent) as game:
            progress.report(version=f"{agent.status.epoch}-{game.version}")
            try:
                outcome = play_match(match, game, stop, progress)
            except GameCrashed as error:
                progress.report(outcome="crashed", reason=str(error))
                raise
            except GameAborted as error:
                progress.report(outcome="aborted", reason=str(error))
                if stop.requested:
                    return
                raise
        reason = "" if _wait_until_sent(agent, stop, progress) else "not delivered: Redis did not accept it"
        progress.report(outcome=outcome, reason=reason)


def _wait_for_policy(agent: Agent, stop: Stop, progress: ProgressPipe) -> bool:
    """Wait for a policy. Returns False if told to stop before there is one.

    A game without a policy is not trained on, and a game of StarCraft II is too expensive for that.
    """
    if not agent.wait_until_ready(_POLL_S):
        _log.info("waiting for a policy", actor=agent.actor)
    while not agent.wait_until_ready(_POLL_S):
        progress.heartbeat()
        if agent.status.connection == "misfit":
            raise SpecMismatch(agent.status.problem)
        if agent.status.connection == "denied":
            raise RedisDenied(agent.status.problem)
        if stop.requested:
            return False
    return True


def _wait_until_sent(agent: Agent, stop: Stop, progress: ProgressPipe) -> bool:
    """Wait until the game is in Redis. Returns False if told to stop before.

    There is no timeout, because the game may have taken half an hour to play.
    """
    while not agent.flush(_POLL_S):
        progress.heartbeat()
        if stop.requested:
            return False
    return True
