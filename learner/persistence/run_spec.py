"""The run's spec in Redis: written by the first learner, and compared by every later one."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from ...common.errors import ConfigError
from ...common.process.log import Log
from ...common.server.streams import ServerFull
from ...common.spec import READABLE, RunSpec

if TYPE_CHECKING:
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


def with_stored_high_water(server: Server, keys: Keys, spec: RunSpec) -> RunSpec:
    """Our spec with the stored one's unused field, so that both have one digest where they are equal."""
    raw = server.call("HGET", keys.spec, "json")
    if raw is None:
        return spec
    theirs = RunSpec.from_json(raw, formats=READABLE)
    return replace(spec, rollout=replace(spec.rollout, high_water=theirs.rollout.high_water))


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
