"""`broodmind up`: runs server, learner and actors on this machine to the end, then evaluates the policy.

Modules that are slow to import are imported after the processes have been started, so that these start sooner. Modules
that need numpy, which takes 15 MB of memory, are imported after the processes have ended.
"""

from __future__ import annotations

import itertools
import json
import sys
import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ...actors.games.checks.factory import check_module
from ...actors.games.starcraft2_spec import NAME as STARCRAFT2
from ...actors.supervision.supervisor import Supervisor
from ...common.errors import BroodmindError, ConfigError, NotSolved
from ...common.process.clock import now_ms
from ...common.process.process_setup import prepare_to_compute
from ...common.process.shutdown import stop_on_signal
from ...common.process.standard_output import take_standard_output
from ...common.server.keys import Keys
from ..config.effective import effective, for_local_run, server_url
from ..config.game_of_run import check_game_spec
from ..config.inherited import hand_over
from ..config.options import SettingsCommand, with_settings
from ..recording.run_start import check_folder, is_unused, make_folders, missing, removed_if_unused
from ..records.run_folder import RunFolder
from .embedded_server import EmbeddedServer
from .kept_data import continue_from_kept, keep
from .process_slots import actor_slots, evaluator_slot, learner_slot

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any, TextIO

    from ...actors.supervision.supervisor import Slot
    from ..config.given import Given
    from ..config.tree import Config
    from .server_place import ServerPlace

INTERRUPTED = 130
_RUNS = Path("runs")
_NAME = "local"  # fixed, because the random numbers of an actor depend on its name
_SETTINGS = (
    *("run", "game", "game_args", "game_spec", "seed", "algo", "connection", "algorithm", "network", "rollout"),
    *("intake", "goal", "checkpointing", "archive", "collapse", "lease", "actors", "supervision", "evaluation"),
    *("local", "record"),
)


@click.command(cls=SettingsCommand)
@with_settings(*_SETTINGS, without=("name", "records", "standby"))
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object with the results at the end.")
def up(given: Given, *, as_json: bool) -> None:
    """Start a whole run on this machine (server, learner and actors), watch it to its end, and evaluate the policy."""
    prepare_to_compute()
    taken = take_standard_output()
    results = taken if as_json else None
    try:
        sys.exit(run_up(given, results))
    except BroodmindError as error:
        _write(results, {"error": str(error), "exit_code": error.exit_code})
        raise


@dataclass(frozen=True, slots=True)
class LocalRunEnd:
    """How a run on this machine ended."""

    folder: RunFolder
    summary: Mapping[str, Any] | None  # as in summary.json; None if the run was stopped before its first version
    interrupted: bool  # a stop was requested


def run_up(given: Given, results: TextIO | None = None) -> int:
    """Start a run, follow it to its end and evaluate its policy. Returns the exit code.

    The results are written to `results` as one line of JSON, with the fields `error` and `exit_code` alone if there are
    none; None: only in words, on standard error.
    """
    end = run_locally(given, _process_start_ms())
    if end.summary is None:
        _write(results, {"error": "stopped before the first version", "exit_code": INTERRUPTED})
        return INTERRUPTED
    _write(results, end.summary)
    if end.interrupted:
        return INTERRUPTED
    return NotSolved.exit_code if given.get("until_return") is not None and not end.summary["solved"] else 0


def _write(results: TextIO | None, fields: Mapping[str, Any]) -> None:
    if results is not None:
        results.write(json.dumps(fields, allow_nan=False) + "\n")
        results.flush()


def run_locally(given: Given, began_ms: int, goes_on: Callable[[RunFolder], bool] = lambda _: True) -> LocalRunEnd:
    """Start a run, follow it to its end, evaluate its policy, and write and show its summary.

    Args:
        given: the settings.
        began_ms: when it began, in milliseconds since 1970.
        goes_on: called ten times a second; if it returns False, the run is stopped.

    Raises:
        ConfigError: if the settings do not fit together, or the folder has another run.
        ProcessFailed: if the server ended, or another process failed too often.
    """
    check_local_run(given)
    given = for_local_run(given)
    config = effective(given)
    _check_game(config.game)
    url = server_url(given) if "redis" in given.values else None
    out = config.record.out
    made = missing(out or _RUNS)
    folder = RunFolder(out or new_folder(config.run))
    with removed_if_unused(folder.path, made if out else [folder.path, *made]):
        check_folder(folder, config)
        make_folders(config)
        try:
            return _run_in(folder, given, config, url, began_ms, goes_on)
        except BroodmindError as error:
            if out is None and isinstance(error, ConfigError) and not folder.is_run:
                folder.remove_logs()  # of processes that ended with this error, which is told whole
            if out is not None or not is_unused(folder.path):
                from .summary import write_summary

                write_summary(folder, {"error": str(error), "exit_code": error.exit_code})
            raise


def _run_in(
    folder: RunFolder,
    given: Given,
    config: Config,
    url: str | None,
    began_ms: int,
    goes_on: Callable[[RunFolder], bool],
) -> LocalRunEnd:
    """As `run_locally`, in a folder that is the run's."""
    keys = Keys(config.run)
    with ExitStack() as stack:
        stop = stack.enter_context(stop_on_signal())
        embedded, place = None, _place(given, config, folder.path) if url is None else None
        if url is None:
            embedded = stack.enter_context(EmbeddedServer(place, folder.path if place else None))
            url = embedded.url
            if place is not None:
                continue_from_kept(embedded, keys, config.checkpointing.checkpoint_dir or folder.checkpoints)
                stack.callback(keep, embedded, keys)  # whatever comes: nobody else has it any more
        else:
            _check_free(url, keys)
        supervisor = Supervisor(_slots(hand_over(given.having(out=folder.path), url), config, folder.path))
        stack.callback(supervisor.stop)
        supervisor.poll()

        from ...common.server.streams import Server
        from ..observe.progress_figures import LocalRun
        from ..recording.live_record import LiveRecord
        from .monitor import follow

        server = Server(url)
        stack.callback(server.close)
        if embedded is not None:
            embedded.wait_until_up()
        shown = f"unix://{embedded.socket}" if embedded is not None else server.url
        click.echo(f"run {config.run} on {_redis_cli(shown)}, logs in {folder.path}", err=True)
        if config.local.client:
            click.echo(_connect_line(config.run, place, server.url), err=True)
        run = LocalRun(config.run, config.game, config.goal)
        record = LiveRecord(folder, given, server, keys, began_ms)
        try:
            seen = follow(server, keys, supervisor, embedded, stop, began_ms, run, record, lambda: goes_on(folder))
            supervisor.stop()

            from .summary import conclude, evaluated

            summary = evaluated(server, keys, config, folder, seen, began_ms)
        finally:
            supervisor.stop()
            record.finish()
    if summary is not None:
        conclude(summary, given, config, folder)
    return LocalRunEnd(folder, summary, stop.requested)


def check_local_run(given: Given) -> None:
    """Raise ConfigError for settings of `broodmind up` that have no effect together."""
    client = given.get("client")
    check_game_spec(given)
    # A file with the effective configuration has the default.
    if client and given.values.get("actors", 1) != 1:
        raise ConfigError(f"actors: {given.values['actors']} with client, expected none: bots play instead")
    if client and given.get("lock_step"):
        raise ConfigError("lock_step: true with client, expected false: a game that owns its loop cannot wait")
    if not client and given.get("game_spec"):
        raise ConfigError("game_spec: given without client, expected --client: a game that owns its loop plays itself")
    if "listen" in given.values and (not client or "redis" in given.values):
        raise ConfigError(f"listen: {given.values['listen']!r}, expected client, and no redis: the embedded server's")


def _place(given: Given, config: Config, folder: Path) -> ServerPlace | None:
    """Where bots reach the embedded server; None where there are none."""
    if not config.local.client:
        return None
    from .server_place import given_password, take_place

    return take_place(config.run, config.local.listen, given_password(given), folder)


def _connect_line(run: str, place: ServerPlace | None, url: str) -> str:
    """The line with which a bot joins the run. `url` shows no password."""
    return f'connect("{url}", run="{run}")' if place is None else place.connect_line(run)


def _check_game(name: str) -> None:
    """Raise ConfigError for a game that `up` cannot run, as far as that is seen without making it."""
    if name == STARCRAFT2:
        raise ConfigError(
            f"game: {name!r}, expected a game that can be stepped; for this one, run broodmind learner and broodmind "
            "actors"
        )
    check_module(name)


def _slots(given: Given, config: Config, logs: Path) -> list[Slot]:
    """The run's processes, the learner first."""
    playing = 0 if config.local.client else config.actors.actors
    slots = [learner_slot(given, logs), *actor_slots(given, config, playing, _NAME, logs)]
    if config.evaluation.eval_every != 0 and not config.local.client:  # nobody but the bots can play the game
        slots.append(evaluator_slot(given, logs))
    return slots


def _check_free(url: str, keys: Keys) -> None:
    """Raise an error for a wrong address or password, or a run in use, before any child process is started."""
    from ...common.server.streams import Server

    server = Server(url)
    if server.call("EXISTS", keys.lease):
        raise ConfigError(f"run: {keys.run!r} already has a learner, expected a run without one; choose another --run")
    server.close()


def new_folder(run: str) -> Path:
    """A folder for a run that was given none, and that no other run has."""
    name = _RUNS / time.strftime(f"{run}-%Y%m%d-%H%M%S")
    numbered = (name.with_name(f"{name.name}-{number}") for number in itertools.count(2))
    for path in itertools.chain([name], numbered):
        try:
            path.mkdir(parents=True)
        except FileExistsError:
            continue
        except OSError as error:
            raise ConfigError(f"out: {str(path)!r}, expected a folder that can be made ({error.strerror})") from error
        return path
    raise AssertionError("count never ends")


def _redis_cli(url: str) -> str:
    return f"redis-cli -s {url.removeprefix('unix://')}" if url.startswith("unix://") else f"redis-cli -u {url}"


def _process_start_ms() -> int:
    """The time of the start of this process, before its imports; without psutil, the current time."""
    try:
        import psutil
    except ModuleNotFoundError:
        return now_ms()
    return int(psutil.Process().create_time() * 1000)
