"""One game in this process: StarCraft II started, played by the bot, ended, and what came of it told.

One process a game. burnysc2 ends all StarCraft II it ever started when one game of a process ends, and gives every
game an event loop of its own; a game that went wrong leaves nothing behind for the next one.
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
    from ..supervision.progress_pipe import Progress
    from .bot import Game, ZergBot

_log = Log("starcraft2")
_WATCH_S = 0.5
_SEEN_DEAD = 6  # times: when burnysc2 itself ends it, it forgets it within 1.5 s


@dataclass(frozen=True, slots=True)
class Match:
    """What is to be played."""

    map: str
    opponent: str  # RACE:DIFFICULTY of the computer player
    limit_s: int  # game time at which it is cut off


def parse_opponent(text: str) -> Computer:
    """The computer player that RACE:DIFFICULTY names, in any case. Raises ConfigError."""
    from sc2.data import Difficulty, Race
    from sc2.player import Computer

    race, _, difficulty = text.lower().partition(":")
    races = {each.name.lower(): each for each in Race if each != Race.NoRace}
    levels = {each.name.lower(): each for each in Difficulty}
    if race not in races or difficulty not in levels:
        expected = f"{'|'.join(races)}:{'|'.join(levels)}"
        raise ConfigError(f"opponent: {text!r}, expected {expected}")
    return Computer(races[race], levels[difficulty])


def play_match(match: Match, game: Game, stop: Stop, progress: Progress) -> Outcome:
    """Play to the end and say how it ended; must be called in the main thread, once a process.

    Raises:
        ConfigError: if there is no StarCraft II, map or opponent of that name.
        GameCrashed: if StarCraft II died under the game.
        GameAborted: if the bot failed, or was asked to stop.
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
    except SystemExit as error:  # burnysc2's way to say that there is none
        raise ConfigError("SC2PATH: no StarCraft II found there, expected the folder that has its Versions") from error
    seed = secrets.randbelow(2**31)
    progress.report(map=match.map, opponent=match.opponent, seed=seed)
    bot = ZergBot(game, progress, stop, match.limit_s)
    _watch(progress, bot)
    try:
        run_game(
            arena, [Bot(Race.Zerg, bot), opponent], realtime=False, random_seed=seed, game_time_limit=match.limit_s
        )
    except (GameAborted, GameCrashed):
        raise
    except Exception as error:  # whatever a bot raises
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


def _watch(progress: Progress, bot: ZergBot) -> None:
    """End this process, if StarCraft II has ended and burnysc2 has not noticed.

    It ends at once where another program has its port. burnysc2 would knock at that port for three minutes, or play in
    the game of whoever answers there, which may be over before this process is ended: the bot is told too.
    """
    from sc2.sc2process import KillSwitch

    def watch() -> None:
        seen_dead = 0
        while seen_dead < _SEEN_DEAD:
            time.sleep(_WATCH_S)
            for launched in KillSwitch._to_kill:  # noqa: SLF001 - there is no other way to it
                process = launched._process  # noqa: SLF001
                dead = process is not None and process.poll() is not None
                seen_dead = seen_dead + 1 if dead else 0
            bot.stray = seen_dead > 1 and bot.outcome is None
        reason = "StarCraft II ended, and not in the bot's sight; its port may be taken"
        progress.report(outcome="crashed", reason=reason)
        _log.warning("ended", reason=reason)
        end_session(os.getpid())
        os._exit(GameCrashed.exit_code)

    threading.Thread(target=watch, name="watch over StarCraft II", daemon=True).start()
