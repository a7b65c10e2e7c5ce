"""`broodmind learner`: runs the one learner of a run."""

from __future__ import annotations

import time
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from typing import TYPE_CHECKING

import click

from ...common.process.process_setup import prepare_to_compute
from ...common.process.shutdown import stop_on_signal, stop_with_parent
from ..config.options import SettingsCommand, with_settings
from ..recording.run_recorder import RunRecorder
from ..recording.run_start import check_folder, make_folders, missing, removed_if_unused
from ..records.run_folder import RunFolder, policy_file

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ...learner.persistence.recorder import Recorder
    from ..config.given import Given
    from ..config.tree import Config

SETTINGS = (
    *("run", "game", "game_args", "game_spec", "seed", "algo", "connection", "algorithm", "network", "rollout"),
    *("intake", "goal", "checkpointing", "archive", "collapse", "lease", "record"),
)


@click.command(cls=SettingsCommand)
@with_settings(*SETTINGS, inherits=True)
def learner(given: Given, *, inherit: str | None) -> None:
    """Run the one learner of a run, until Ctrl-C.

    With --out it keeps the run's record in a folder (docs/run_folder.md).
    """
    prepare_to_compute()  # before numpy is imported, which the next lines do
    from ...learner.loop import learn
    from ..config.effective import effective, learner_config, run_spec, server_url
    from ..config.game_of_run import check_game_spec, game_of_run, is_self_play

    check_game_spec(given)
    given = starting_from_a_file(keeping_checkpoints(given))
    with stop_on_signal() as stop, recording_in(given):
        check_record(effective(given))  # before a game is made, so that invalid settings are reported at once
        if inherit is not None:
            stop_with_parent(stop)
        url = server_url(given)
        game = game_of_run(given, url, stop)
        if game is None:
            return
        if is_self_play(given):  # its returns say how strong the opponents are
            given = given.defaulting(on_collapse="off")
        config = effective(given, game)
        with recorded(given, config, by_parent=inherit is not None) as recorder:
            learn(url, config.run, run_spec(config, game), learner_config(config), stop, recorder)


def keeping_checkpoints(given: Given) -> Given:
    """The settings, with checkpoints in the run's folder if there is one and no other place was given."""
    out = given.get("out")
    return given if out is None else given.defaulting(checkpoint_dir=RunFolder(out).checkpoints)


def starting_from_a_file(given: Given) -> Given:
    """The settings, with the best checkpoint where `init_from` is a run's folder. Raises ConfigError if it has none."""
    init_from = given.get("init_from")
    return given.having(init_from=policy_file(init_from)) if init_from is not None and init_from.is_dir() else given


def recording_in(given: Given) -> AbstractContextManager[None]:
    """Around the work of a learner: where it is refused, it leaves no folder that it has made for nothing."""
    out = given.get("out")
    return nullcontext() if out is None else removed_if_unused(out, missing(out))


def check_record(config: Config) -> None:
    """Raise ConfigError if a folder cannot be made or written, or the run's has the record of another run."""
    if config.record.out is not None:
        check_folder(RunFolder(config.record.out), config)
    make_folders(config)


@contextmanager
def recorded(given: Given, config: Config, *, by_parent: bool) -> Iterator[Recorder | None]:
    """The recorder of a learner that has a folder; at the end, the curve and TensorBoard's files are complete.

    Args:
        given: the settings.
        config: the effective configuration of these.
        by_parent: whether the parent, which is `broodmind up`, writes all but the metrics, when the processors have
            nothing better to do.
    """
    if config.record.out is None:
        yield None
        return
    folder, began_s = RunFolder(config.record.out), time.time()
    with ExitStack() as stack:
        if not by_parent:
            from ..recording.derived_files import DerivedFiles

            derived = stack.enter_context(DerivedFiles(folder, f"{config.game}, run {config.run}"))

        def on_start(resumed_steps: int) -> None:
            from ..config.differing import differing
            from ..config.effective import to_plain
            from ..recording.run_start import command_line, write_start

            write_start(folder, to_plain(config), differing(given, local=False), command_line(), began_s, resumed_steps)
            derived.start()

        recorder = RunRecorder(folder, None if by_parent else on_start, evaluates=config.intake.eval_share > 0)
        stack.callback(recorder.close)
        yield recorder
