"""One game of StarCraft II for a run: a policy awaited, a game played, a trajectory delivered."""

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
    from ..supervision.progress_pipe import Progress
    from .match import Match

_log = Log("starcraft2")

_POLL_S = 0.2


def play(url: str, run: str, name: str, match: Match, stop: Stop, progress: Progress) -> None:
    """Play one game, and tell the supervisor what came of it.

    Raises:
        ConfigError, GameCrashed, GameAborted: as `play_match`; nothing is then sent.
        SpecMismatch, RedisDenied: if this is no game or no actor of the run, before the game.
    """
    with connect(url, run, name=name, game=SPEC) as agent:
        if not _await_policy(agent, stop, progress):
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
        reason = "" if _deliver(agent, stop, progress) else "not delivered: Redis did not take it"
        progress.report(outcome=outcome, reason=reason)


def _await_policy(agent: Agent, stop: Stop, progress: Progress) -> bool:
    """Whether there is one. Without, nothing can be learnt from a game, and a game is the dearest thing here."""
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


def _deliver(agent: Agent, stop: Stop, progress: Progress) -> bool:
    """Whether the game is in Redis. Only a stop request gives it up: it may have taken half an hour to play."""
    while not agent.flush(_POLL_S):
        progress.heartbeat()
        if stop.requested:
            return False
    return True
