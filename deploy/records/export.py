"""`broodmind export`: writes a run's policy as an npz file that plain numpy reads."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

import click

from ...common.errors import ConfigError, WireError
from ...common.server.keys import Keys
from ..config.effective import server_url_of_run
from ..config.options import with_settings

if TYPE_CHECKING:
    from ...common.spec import RunSpec
    from ...common.wire.codec import Array
    from ...learner.persistence.run_snapshot import RunSnapshot
    from ..config.given import Given

Layout = Literal["bot", "params"]


@click.command()
@with_settings("run", "connection")
@click.option(
    "--checkpoint",
    type=click.Path(path_type=Path),
    help="A checkpoint file, or the folder of a run with its best or last one, to read instead of a run.",
)
@click.option("--to", required=True, type=click.Path(path_type=Path, dir_okay=False), help="The npz file to write.")
@click.option(
    "--layout",
    type=click.Choice(get_args(Layout)),
    help="bot: the arrays W1, b1, ... that the original bot loads; params: all parameters of any network.  "
    "[default: bot if the original bot can hold the policy, otherwise params]",
)
def export(given: Given, *, checkpoint: Path | None, to: Path, layout: Layout | None) -> None:
    """Write the policy as an npz file: for any program that has numpy, or for the original bot.

    The policy is the latest version of --run, or that of --checkpoint. One of the two options must be given.
    """
    from ...learner.persistence.checkpoints import read_checkpoint
    from .run_folder import policy_file

    run = given.get("run")
    if (run is None) == (checkpoint is None):
        raise ConfigError(
            f"export: --run {run or 'none'} and --checkpoint {checkpoint or 'none'}, expected exactly one of the two"
        )
    stored, spec = (
        read_checkpoint(policy_file(checkpoint))
        if checkpoint
        else _of_run(server_url_of_run(given, str(run)), str(run))
    )
    layout = layout or ("bot" if _fits_the_bot(spec) else "params")
    write_npz(to, bot_arrays(stored, spec) if layout == "bot" else params_arrays(stored, spec))
    click.echo(f"epoch {stored.head.epoch}, version {stored.head.version} written to {to}, layout {layout}", err=True)


def bot_arrays(stored: RunSnapshot, spec: RunSpec) -> dict[str, Array]:
    """The arrays that the original bot loads.

    `episode_count` is the number of games trained on. `baseline` is the moving average of returns if the run has one
    (REINFORCE), and otherwise 0, as in a new model of the bot.
    """
    from ...common.wire.bot_model import BotModel, check_exportable

    try:
        check_exportable(spec.game, spec.network)
    except ConfigError as error:
        raise ConfigError(f"{error}; --layout params takes any network") from error
    average: Any = stored.trainer_state()["algorithm"].get("average")
    baseline = 0.0 if average is None else _float(average)
    return BotModel(stored.params(spec), baseline, stored.counters.games).arrays()


def params_arrays(stored: RunSnapshot, spec: RunSpec) -> dict[str, Array]:
    """All parameters, under the names of common/policy/network.py, the run's spec, and the version: docs/policy.md."""
    from ...common.wire.policy_npz import policy_arrays
    from ...learner.persistence.warm_start import plain_values

    params = plain_values(stored.params(spec), stored, spec.network, spec.game)
    return policy_arrays(params, spec, stored.head.epoch, stored.head.version)


def write_npz(path: Path, arrays: dict[str, Array]) -> None:
    """Write the file atomically and under exactly this name. Raises ConfigError if it cannot be written."""
    import numpy as np

    from ...common.process.atomic_file import write_durably

    buffer = io.BytesIO()
    np.savez(buffer, allow_pickle=False, **arrays)
    try:
        write_durably(path, buffer.getvalue())
    except OSError as error:
        raise ConfigError(f"to: {str(path)!r}, expected a file that can be written ({error.strerror})") from error


def _fits_the_bot(spec: RunSpec) -> bool:
    from ...common.wire.bot_model import check_exportable

    try:
        check_exportable(spec.game, spec.network)
    except ConfigError:
        return False
    return True


def _of_run(url: str, run: str) -> tuple[RunSnapshot, RunSpec]:
    from ...common.server.streams import Server
    from ...common.spec import READABLE, RunSpec
    from ...learner.persistence.run_snapshot import read_snapshot

    keys, server = Keys(run), Server(url)
    try:
        raw = server.call("HGET", keys.spec, "json")
        stored = read_snapshot(server, keys) if raw else None
    finally:
        server.close()
    if stored is None:
        raise ConfigError(f"run: {run!r}, expected the name of a run on this server")
    return stored, RunSpec.from_json(raw, formats=READABLE)


def _float(raw: Any) -> float:  # noqa: ANN401 - an array as it travels
    from ...common.wire.codec import take_array

    try:
        return float(take_array({"average": raw}, "average", ("<f8",), (1,))[0])
    except WireError as error:
        raise ConfigError(f"run: {error}, expected a learner state of this version of broodmind") from error
