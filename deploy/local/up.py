"""`broodmind up`: server, learner and actors on this machine, watched to their end, then an evaluation.

What takes long to import is imported when the processes are on their way, since they have the machine to themselves
until then; and what needs numpy, 15 MB, when they have ended.
"""

from __future__ import annotations

import json
import time
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ...actors.games.starcraft2_spec import NAME as STARCRAFT2
from ...actors.supervision.supervisor import Supervisor
from ...common.errors import ConfigError, NotSolved
from ...common.process.clock import now_ms
from ...common.process.shutdown import stop_on_signal
from ...common.server.keys import Keys
from ...common.spec import RolloutSpec
from .embedded_server import EmbeddedServer
from .process_slots import actor_slots, learner_slot

if TYPE_CHECKING:
    from ..records.learning_curve import Curve

INTERRUPTED = 130
_ACTORS = "local"  # the same names each time: a seed gives the same games


def run_up(
    url: str | None,
    run: str,
    *,
    game: str,
    actors: int,
    envs: int,
    hold_back: int,
    eval_episodes: int,
    out: str | None,
    as_json: bool,
    **learning: Any,  # noqa: ANN401 - the learner's own options, handed on
) -> int:
    """Put a run up and see it through; returns the exit code."""
    if game == STARCRAFT2:
        raise ConfigError(
            f"game: {game!r}, expected one that can be stepped; play it with broodmind learner and actors"
        )
    began_ms, keys = _process_start_ms(), Keys(run)
    folder = Path(out) if out else Path("runs") / time.strftime(f"{run}-%Y%m%d-%H%M%S")
    folder.mkdir(parents=True, exist_ok=True)
    playing = {"game": game, "envs": envs, "hold_back": hold_back}
    options = _learner_options(folder, game, actors * envs, **learning)
    with ExitStack() as stack:
        stop = stack.enter_context(stop_on_signal())
        embedded = None
        if url is None:
            embedded = stack.enter_context(EmbeddedServer())
            url = embedded.url
        else:
            _check_free(url, keys)
        learner = learner_slot(url, run, options, folder)
        supervisor = Supervisor([learner, *actor_slots(url, run, actors, _ACTORS, playing, folder)])
        stack.callback(supervisor.stop)
        supervisor.poll()

        from ...common.server.streams import Server
        from .monitor import follow

        server = Server(url)
        stack.callback(server.close)
        if embedded is not None:
            embedded.wait_until_up()
        click.echo(f"run {run} on {_redis_cli(server.url)}, logs in {folder}", err=True)
        seen = follow(server, keys, supervisor, embedded, stop, began_ms)
        supervisor.stop()

        from .summary import evaluated, report

        summary = evaluated(server, keys, game, eval_episodes, seen, began_ms)
    if summary is None:  # stopped before there was anything
        return INTERRUPTED
    report(summary, _draw(seen.curve, folder, f"{game}, run {run}"), folder)
    if as_json:
        click.echo(json.dumps(summary))
    if stop.requested:
        return INTERRUPTED
    return NotSolved.exit_code if learning["until_return"] is not None and not summary["solved"] else 0


def _learner_options(
    folder: Path,
    game: str,
    columns: int,
    *,
    settings: tuple[str, ...],
    **learning: Any,  # noqa: ANN401
) -> dict[str, Any]:
    """The learner's options, as they stand on its command line; `columns` games are played at once."""
    if learning["algo"] != "reinforce":  # one piece of each actor makes a batch
        fragments = columns * (learning["unroll"] or RolloutSpec().length)
        learning["batch_steps"] = learning["batch_steps"] or fragments
    learning["no_normalise"] = learning["normalise"] is False
    return {"game": game, **learning, "set": settings, "checkpoint_dir": folder / "checkpoints"}


def _check_free(url: str, keys: Keys) -> None:
    """A wrong address or password, or a run in use, is this process's error and not each child's."""
    from ...common.server.streams import Server

    server = Server(url)
    if server.call("EXISTS", keys.lease):
        raise ConfigError(f"run: {keys.run!r} has a learner already, expected one without; choose another --run")
    server.close()


def _draw(curve: Curve, folder: Path, title: str) -> Path | None:
    if not curve.points:
        return None
    path = folder / "curve.png"
    try:
        curve.draw(path, title)
    except ModuleNotFoundError:
        return None  # matplotlib is part of broodmind[watch]
    return path


def _redis_cli(url: str) -> str:
    return f"redis-cli -s {url.removeprefix('unix://')}" if url.startswith("unix://") else f"redis-cli -u {url}"


def _process_start_ms() -> int:
    """When this process was started, interpreter and imports included; now, where that cannot be known."""
    try:
        import psutil
    except ModuleNotFoundError:
        return now_ms()
    return int(psutil.Process().create_time() * 1000)
