"""Plays one game in this process: starts StarCraft II, lets the bot play, and returns the outcome.

A process plays only one game. When a game ends, burnysc2 ends every StarCraft II that it has started in this process;
and with a new process, a game that failed leaves nothing behind for the next one.
"""

from __future__ import annotations

import os
import secrets
import sys
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ...common.errors import ConfigError, GameAborted, GameCrashed
from ...common.process.log import Log
from ...common.process.shutdown import end_session

if TYPE_CHECKING:
    from sc2.player import Computer

    from ...common.process.shutdown import Stop
    from ..client.episode_record import Outcome
    from ..supervision.progress_pipe import ProgressPipe
    from .bot import Episode, ZergBot

_log = Log("starcraft2")
_WATCH_EVERY_S = 0.5
_ENDED_CHECKS = 6  # in a row; if burnysc2 ended StarCraft II itself, it removes it from its list within 1.5 s


@dataclass(frozen=True, slots=True)
class Match:
    """The settings of one game."""

    map: str  # a map file's name without .SC2Map
    opponent: str  # RACE:DIFFICULTY of the computer player
    limit_s: int  # game time in seconds at which the game is truncated


def parse_opponent(text: str) -> Computer:
    """The computer player for RACE:DIFFICULTY, in upper or lower case. Raises ConfigError."""
    from sc2.data import Difficulty, Race
    from sc2.player import Computer

    race, _, difficulty = text.lower().partition(":")
    races = {each.name.lower(): each for each in Race if each != Race.NoRace}
    levels = {each.name.lower(): each for each in Difficulty}
    if race not in races or difficulty not in levels:
        expected = f"{'|'.join(races)}:{'|'.join(levels)}"
        raise ConfigError(f"opponent: {text!r}, expected {expected}")
    return Computer(races[race], levels[difficulty])


def play_match(match: Match, game: Episode, stop: Stop, progress: ProgressPipe) -> Outcome:
    """Play a game to its end and return its outcome. Must be called in the main thread, once in a process.

    Raises:
        ConfigError: if StarCraft II, burnysc2 or the map is not installed, or the opponent is unknown.
        GameCrashed: if StarCraft II ended during the game.
        GameAborted: if the bot failed or was asked to stop.
    """
    try:
        from loguru import logger
        from sc2 import maps
        from sc2.data import Race
        from sc2.main import run_game
        from sc2.player import Bot

        from .bot import ZergBot
    except ModuleNotFoundError as error:
        raise ConfigError(
            f"game: starcraft2, expected it installed: pip install 'broodmind[starcraft2]' ({error})"
        ) from error
    logger.remove()
    logger.add(sys.stderr, level="WARNING")
    opponent = parse_opponent(match.opponent)
    try:
        arena = maps.get(match.map)
    except KeyError as error:
        raise ConfigError(f"map: {match.map!r}, expected a file {match.map}.SC2Map in StarCraft II's Maps") from error
    except SystemExit as error:  # burnysc2 exits if it does not find StarCraft II
        raise ConfigError("SC2PATH: StarCraft II not found, expected the folder that contains Versions") from error
    seed = secrets.randbelow(2**31)
    progress.report(map=match.map, opponent=match.opponent, seed=seed)
    bot = ZergBot(game, progress, stop, match.limit_s)
    _start_watch(progress, bot)
    try:
        run_game(
            arena, [Bot(Race.Zerg, bot), opponent], realtime=False, random_seed=seed, game_time_limit=match.limit_s
        )
    except (GameAborted, GameCrashed):
        raise
    except Exception as error:  # a bot can raise any exception
        if bot.outcome is None:
            raise _failure(error) from error
    if bot.outcome is None:
        raise GameAborted("the bot failed before its first step, which burnysc2 reports as a defeat")
    _log.info("game over", map=match.map, opponent=match.opponent, outcome=bot.outcome, game_s=round(bot.time))
    return bot.outcome


def _failure(error: Exception) -> GameAborted | GameCrashed:
    from aiohttp import ClientError
    from sc2.protocol import ConnectionAlreadyClosedError

    if isinstance(error, (ConnectionAlreadyClosedError, ClientError, ConnectionError, TimeoutError)):
        return GameCrashed(f"StarCraft II ended in the middle of the game ({type(error).__name__})")
    return GameAborted(f"the bot raised {type(error).__name__}: {error}")


def _start_watch(progress: ProgressPipe, bot: ZergBot) -> None:
    """Start a thread that ends this process if StarCraft II has ended and burnysc2 has not noticed.

    StarCraft II ends at once if another program uses its port. burnysc2 would then try to connect to that port for
    three minutes, or, if another StarCraft II answers there, play in its game. Such a game may end before this thread
    ends the process, so the thread also sets the bot's `process_ended`.
    """
    from sc2.sc2process import KillSwitch

    from .bot import PROCESS_ENDED

    def watch() -> None:
        ended_checks = 0
        while ended_checks < _ENDED_CHECKS:
            time.sleep(_WATCH_EVERY_S)
            for launched in KillSwitch._to_kill:  # noqa: SLF001 - burnysc2 offers no other access to its processes
                process = launched._process  # noqa: SLF001
                dead = process is not None and process.poll() is not None
                ended_checks = ended_checks + 1 if dead else 0
            bot.process_ended = ended_checks > 1 and bot.outcome is None
        progress.report(outcome="crashed", reason=PROCESS_ENDED)
        _log.warning("ending this process", reason=PROCESS_ENDED)
        end_session(os.getpid())
        os._exit(GameCrashed.exit_code)

    threading.Thread(target=watch, name="starcraft2-watch", daemon=True).start()
