"""Loads a policy from a checkpoint, a run's folder or an exported npz file."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...common import arguments
from ...common.errors import ConfigError, LineageLost, WireError
from ..records.run_folder import policy_file
from .policy import Policy

if TYPE_CHECKING:
    import os
    from pathlib import Path

_NPZ_BYTES_MAX = 1 << 30  # of the file; it is one that the user names
_ZIP = b"PK"


def load(path: str | os.PathLike[str], version: str | int | None = None) -> Policy:
    """Load a policy for use in a script. It needs no server, and numpy and msgpack of all packages.

    Args:
        path: a checkpoint file, a run's folder (the best version if one was chosen, else the newest), a folder of
            checkpoints (the newest), or an npz file of `broodmind export` or of the original bot.
        version: with a run's folder: "best", "last", or the number of a version that was kept.

    Raises:
        ConfigError: naming the path, if there is no such policy.
    """
    given = arguments.path("path", path)
    if version is not None and not arguments.is_whole(version):
        arguments.text("version", version)
    file = policy_file(given, version)
    try:
        with file.open("rb") as opened:
            is_npz = opened.read(len(_ZIP)) == _ZIP
        return _from_npz(file) if is_npz else _from_checkpoint(file)
    except OSError as error:
        raise ConfigError(
            f"path: {str(path)!r}, expected a checkpoint, a run's folder or an exported npz file ({error.strerror})"
        ) from error
    except (WireError, LineageLost) as error:
        raise ConfigError(f"path {file}: {error}") from error


def _from_npz(path: Path) -> Policy:
    from ...common.spec import RunSpec
    from ...common.wire.bot_model import GAME, NETWORK, is_bot_model, take_bot_model
    from ...common.wire.npz import read_npz
    from ...common.wire.policy_npz import take_policy, take_spec, take_version

    arrays = read_npz(path, file_bytes_max=_NPZ_BYTES_MAX)
    if is_bot_model(arrays):
        return Policy(take_bot_model(arrays).params, RunSpec(GAME, NETWORK))
    spec = take_spec(arrays)
    epoch, version = take_version(arrays)
    return Policy(take_policy(arrays, spec), spec, epoch=epoch, version=version)


def _from_checkpoint(path: Path) -> Policy:
    from ...learner.persistence.checkpoints import read_checkpoint
    from ...learner.persistence.warm_start import plain_values

    stored, spec = read_checkpoint(path)
    params = plain_values(stored.params(spec), stored, spec.network, spec.game)
    return Policy(params, spec, epoch=stored.head.epoch, version=stored.head.version)
