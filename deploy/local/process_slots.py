"""The processes of a run, as slots for a supervisor."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from ...actors.games.starcraft2_spec import NAME as STARCRAFT2
from ...actors.supervision.child_process import ProcessLimits
from ...actors.supervision.supervisor import Slot
from ..options import NO_PROGRESS_S

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_HEAVY_STAGGER_S = 3.0  # between those of games that take a core and a gigabyte to load
LIMITS = ProcessLimits(NO_PROGRESS_S)
_STAGGER_S = 0.2  # between the first starts of actors, beyond as many as there are cores


def module_command(*arguments: str) -> list[str]:
    """The command line of a broodmind command, by this interpreter.

    -P keeps the current folder out of the search for our own imports, as it is in the installed command: a user's
    `redis.py` there must not take the place of the client. His game is still found there; see `games.make_game`.
    """
    return [sys.executable, "-P", "-m", "broodmind.deploy.cli", *arguments]


def actor_slots(
    url: str,
    run: str,
    actors: int,
    name: str,
    playing: Mapping[str, object],
    logs: Path | None = None,
    limits: ProcessLimits = LIMITS,
) -> list[Slot]:
    """One slot an actor process. Their names are padded, so that their order is that of the slots.

    Args:
        url: the server.
        run: the run's name.
        actors: how many.
        name: what the actors' names begin with.
        playing: the options they share: game, envs, hold_back.
        logs: the folder for their logs; None leaves them on standard error.
        limits: how long an attempt of each may take.
    """

    def slot(index: int) -> Slot:
        actor = f"{name}-{index:03}"
        command = module_command("actor", *flags({"redis": url, "run": run, "name": actor, **playing}))
        if playing["game"] == STARCRAFT2:
            delay_s = _HEAVY_STAGGER_S * index
        else:
            delay_s = _STAGGER_S * max(0, index + 1 - (os.cpu_count() or 1))
        log = logs / f"actor-{index:03}.log" if logs else None
        return Slot(actor, command, log, delay_s, reports=True, limits=limits)

    return [slot(index) for index in range(actors)]


def learner_slot(url: str, run: str, options: Mapping[str, object], logs: Path) -> Slot:
    """The slot of the learner; when it ends with 0 it has reached its goal."""
    command = module_command("learner", "--lifeline", *flags({"redis": url, "run": run, **options}))
    return Slot("learner", command, logs / "learner.log", restart=False)


def flags(options: Mapping[str, object]) -> list[str]:
    """Options as they stand on a command line; None and False are left out, a tuple's items each get the option."""
    result: list[str] = []
    for name, value in options.items():
        flag = f"--{name.replace('_', '-')}"
        if value is True:
            result.append(flag)
        elif isinstance(value, tuple):
            result += [part for item in value for part in (flag, str(item))]
        elif value is not None and value is not False:
            result += [flag, str(value)]
    return result
