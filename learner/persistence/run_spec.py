"""The run's spec in Redis: written by the first learner, and compared by every later one."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from ...common.errors import ConfigError
from ...common.process.log import Log
from ...common.server.streams import ServerFull
from ...common.spec import READABLE, RunSpec
from .checkpoints import newest_spec

if TYPE_CHECKING:
    from pathlib import Path

    from ...common.server.keys import Keys
    from ...common.server.streams import Server

_log = Log("learner")


def store_configuration(server: Server, keys: Keys, configuration: str) -> None:
    """Store the configuration of the latest learner beside the spec, as JSON without secrets.

    A server at its memory limit does without: it takes a learner to make room.
    """
    try:
        server.call("HSET", keys.spec, "config", configuration)
    except ServerFull as error:
        _log.warning("configuration not stored", run=keys.run, error=error)


def as_run_was_started(server: Server, keys: Keys, spec: RunSpec, checkpoints: Path | None) -> RunSpec:
    """Our spec with what a run of an earlier version has otherwise, so that the run goes on without being told.

    These are a field that is not in use, so that both have one digest where they are equal, and the correlation of the
    noise, which once was 0.9 by default for continuous actions.

    Args:
        server: is asked for the run's spec.
        keys: of the run.
        spec: by our settings.
        checkpoints: the folder with the run's checkpoints, for a server that has lost the run; None: there is none.
    """
    raw = server.call("HGET", keys.spec, "json")
    if raw is not None:
        theirs: RunSpec | None = RunSpec.from_json(raw, formats=READABLE)
    else:
        theirs = None if checkpoints is None else newest_spec(checkpoints)
    if theirs is None:
        return spec
    correlation = spec.rollout.noise_correlation
    if not correlation and (correlation := theirs.rollout.noise_correlation):
        _log.warning(
            "the run goes on with correlated noise, as it was started; it is 0 for new runs, unless set",
            run=keys.run,
            noise_correlation=correlation,
        )
    kept = replace(spec.rollout, high_water=theirs.rollout.high_water, noise_correlation=correlation)
    return replace(spec, rollout=kept)


def agree_on_spec(server: Server, keys: Keys, spec: RunSpec) -> None:
    """Write the run's spec, or compare ours with the one in Redis. Raises ConfigError if they differ."""
    raw = server.call("HGET", keys.spec, "json")
    if raw is None:
        server.call("HSET", keys.spec, "json", spec.to_json(), "digest", spec.digest)
        return
    theirs = RunSpec.from_json(raw, formats=READABLE)
    for part in ("game", "network", "rollout", "seed"):
        if getattr(theirs, part) != getattr(spec, part):
            raise ConfigError(
                f"{part} of run {keys.run}: {getattr(spec, part)}, expected {getattr(theirs, part)} as the run was "
                "started with; choose another --run name for other settings"
            )
    theirs.check_game(spec.game)  # the observation's parts too, which are not compared above
    if raw.decode() != spec.to_json():  # of an earlier format; from now on the run's actors must be of this version
        server.call("HSET", keys.spec, "json", spec.to_json())
