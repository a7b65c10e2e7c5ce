"""Reads the file that a new run starts from instead of random weights: a bot model, an export or a checkpoint."""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING, Any

import numpy as np

from ...common.errors import ConfigError, WireError
from ...common.policy.network import shapes, stacks
from ...common.wire import codec
from ...common.wire.bot_model import GAME, NETWORK, is_bot_model, take_bot_model
from ...common.wire.npz import read_npz
from ...common.wire.policy_npz import take_policy, take_spec
from ..algorithms.trainer import WarmStart
from ..maths.popart import ValueScale
from ..maths.running_moments import Moments
from .checkpoints import read_checkpoint

if TYPE_CHECKING:
    from pathlib import Path

    from ...common.policy.network import Params
    from ...common.spec import GameSpec, NetworkSpec, RunSpec
    from .run_snapshot import RunSnapshot


def read_warm_start(path: Path, spec: RunSpec) -> WarmStart:
    """Read a file that a run of `spec` is to start from.

    Raises:
        ConfigError: naming the file, and the field in which it does not fit the run.
    """
    try:
        with path.open("rb") as file:
            is_npz = file.read(2) == b"PK"
    except OSError as error:
        raise ConfigError(f"init-from {path}: {error.strerror}, expected a model or a checkpoint") from error
    try:
        return _from_npz(path, spec) if is_npz else _from_checkpoint(path, spec)
    except WireError as error:
        raise ConfigError(f"init-from {path}: {error}") from error


def plain_values(params: Params, snapshot: RunSnapshot, network: NetworkSpec, game: GameSpec) -> Params:
    """The parameters, with the value head rescaled to V itself if PopArt had normalised it."""
    algorithm = snapshot.trainer_state()["algorithm"]
    if "moments" not in algorithm:
        return params
    scale = ValueScale(0.0)
    scale.restore({name: codec.take_array(algorithm, name, ("<f8",), (None,)) for name in ("moments", "weight")})
    head = len(stacks(network, game)["value"]) - 2
    weights, bias = f"value/w{head}", f"value/b{head}"
    return {
        **params,
        weights: params[weights] * np.float32(scale.deviation),
        bias: scale.values(params[bias]),
    }


def _from_npz(path: Path, spec: RunSpec) -> WarmStart:
    arrays = read_npz(path)
    if is_bot_model(arrays):
        _check(path, spec, GAME, NETWORK)
        return WarmStart(take_bot_model(arrays).params)  # it has no value network; that keeps its initial weights
    theirs = take_spec(arrays)
    _check(path, spec, theirs.game, theirs.network)
    if theirs.network.normalize_observations:
        raise WireError(
            "normalize_observations: True, expected False: exports lack the normaliser's state; start from a checkpoint"
        )
    return WarmStart(take_policy(arrays, spec))


def _from_checkpoint(path: Path, spec: RunSpec) -> WarmStart:
    snapshot, theirs = read_checkpoint(path)
    _check(path, spec, theirs.game, theirs.network)
    params = plain_values(snapshot.params(theirs), snapshot, theirs.network, theirs.game)
    normaliser = None
    if spec.network.normalize_observations:
        raw: dict[str, Any] = snapshot.trainer_state()["normaliser"]
        own = Moments(spec.game.features).state()
        codec.check_fields(raw, set(own))
        normaliser = {name: codec.take_array(raw, name, ("<f8",), value.shape) for name, value in own.items()}
    return WarmStart({name: params[name] for name in shapes(spec.network, spec.game)}, normaliser)


def _check(path: Path, spec: RunSpec, game: GameSpec, network: NetworkSpec) -> None:
    """Compare the run's game and network with the file's. The games' names may differ."""
    pairs: list[tuple[str, Any, Any]] = [
        (name, getattr(spec.game, name), getattr(game, name)) for name in ("observation_shape", "actions", "masked")
    ]
    pairs += [(each.name, getattr(spec.network, each.name), getattr(network, each.name)) for each in fields(network)]
    for name, ours, theirs in pairs:
        if ours != theirs:
            raise ConfigError(f"{name}: {ours}, expected {theirs} as in {path}, to start from it")
