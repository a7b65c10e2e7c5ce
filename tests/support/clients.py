"""Games that are played through the client and identified by number, and a run that is published without a learner."""

from __future__ import annotations

import numpy as np

from broodmind.common.actions import Discrete
from broodmind.common.policy.network import initial_params
from broodmind.common.server.keys import Keys
from broodmind.common.spec import GameSpec, NetworkSpec, RolloutSpec, RunSpec
from broodmind.common.wire import codec
from broodmind.common.wire.demand import Demand
from broodmind.common.wire.entry_header import parse_entry
from broodmind.common.wire.trajectory import decode_trajectory
from broodmind.common.wire.weights import Pointer, digest, encode_weights

GAME = GameSpec("numbered", (3,), Discrete(5), wins=True)
SPEC = RunSpec(GAME, NetworkSpec(hidden=(8,)), RolloutSpec("games", 100))
STEPS = 4


def publish(server, run, *, version=1, spec=SPEC, params=None, games=None):
    """What a learner would: the spec, a version of the policy, and how many games a client may have unconsumed."""
    keys = Keys(run)
    blob = encode_weights(params or initial_params(spec.network, spec.game, np.random.default_rng(version)), spec)
    pointer = Pointer(1, version, "", digest(blob), len(blob))
    server.call("HSET", keys.spec, "json", spec.to_json(), "digest", spec.digest)
    server.call("SET", keys.weights(1, version), blob)
    if games is not None:
        server.call("SET", keys.demand, Demand(1, 0, games, 1 << 30, 0, games).to_json())
    server.call("SET", keys.latest, pointer.to_json())


def play(agent, number, outcome="win"):
    """Play one game whose observations contain its number and the step. Returns the episode."""
    with agent.episode(number=number) as game:
        play_through(game, number, outcome)
    return game


def play_through(game, number, outcome="win"):
    """Play a game that has begun to its end."""
    for step in range(STEPS):
        game.act([number, step, 0])
        game.reward(1)
    game.end(outcome)


def arrived(server, run, actor):
    """The numbers of the games in an actor's stream, in order."""
    entries = server.call("XRANGE", Keys(run).trajectories(actor), "-", "+")
    payloads = [codec.decode(fields[-1], max_bytes=1 << 20) for _, fields in entries]
    columns = [codec.take_array(each, "observations", ("<f4",), (STEPS + 1, None, 3)) for each in payloads]
    return [int(number) for each in columns for number in each[0, :, 0]]


def own_metrics_of(server, run, actor):
    """The own metrics of the games in an actor's stream, in order."""
    entries = server.call("XRANGE", Keys(run).trajectories(actor), "-", "+")
    return [dict(own) for _, fields in entries for own in parse_entry(fields)[0].episodes.own_metrics]


def played_by(server, run, actor):
    """The number of each game in an actor's stream, with the version that played its first step."""
    found = {}
    for _, fields in server.call("XRANGE", Keys(run).trajectories(actor), "-", "+"):
        header, payload = parse_entry(fields)
        played = decode_trajectory(payload, header, actor, SPEC)
        offsets = np.zeros(played.actions.shape, int) if played.version_offsets is None else played.version_offsets
        versions = header.versions[0] + offsets[0]
        found |= dict(zip(played.observations[0, :, 0].astype(int).tolist(), versions.tolist(), strict=True))
    return found
