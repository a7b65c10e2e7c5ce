"""Trajectories of several games, their payloads, and what a learner makes of these or of what was done to them."""

import tracemalloc
from dataclasses import fields as dataclass_fields

import msgpack
import numpy as np
import pytest

from broodmind.common.actions import Box, Discrete, MultiDiscrete
from broodmind.common.errors import WireError
from broodmind.common.spec import GameSpec, RolloutSpec, RunSpec
from broodmind.common.wire.entry_header import NO_EPISODES, Episodes, Header, parse_entry
from broodmind.common.wire.trajectory import Trajectory, decode_trajectory, encode_trajectory
from broodmind.learner.ingest.cached_layout_decoder import CachedLayoutDecoder

ACTOR = "a1"
CREATED_MS = 1_700_000_000_000
PLAIN = RunSpec(GameSpec("plain", (3,), Discrete(4)), rollout=RolloutSpec(fragment_length=16))
RICH = RunSpec(
    GameSpec("rich", (2, 3), Discrete(5), masked=True, wins=True), rollout=RolloutSpec(fragment_length=16, float16=True)
)
SEVERAL = RunSpec(
    GameSpec("several", (3,), MultiDiscrete((3, 2)), masked=True), rollout=RolloutSpec(fragment_length=16)
)
BYTES = RunSpec(
    GameSpec("bytes", (4, 4, 1), Discrete(4), observation_dtype="uint8"), rollout=RolloutSpec(fragment_length=16)
)
NUMBERS = RunSpec(GameSpec("numbers", (3,), Box((-1.0, 0.0), (1.0, 9.0))), rollout=RolloutSpec(fragment_length=16))


class Decoders(dict):
    """A decoder for each spec, made when it is first asked for."""

    def __missing__(self, spec):
        return self.setdefault(spec, CachedLayoutDecoder(spec))


DECODERS = Decoders()


def make_trajectory(spec, *, steps=5, columns=2, endings=0.2, spread=2, seed=0):
    """Any trajectory that fits the spec; half-float observations are ones that half floats can hold.

    Of its steps a share of `endings` ends a game, the first one among them, and none where that is 0. Where it has more
    than one step, `spread` + 1 versions have played it.
    """
    rng = np.random.default_rng(seed)
    shape, game = (steps, columns), spec.game
    actions, masks = some_actions(game.actions, shape, rng)
    valid = rng.random(shape) < 0.8
    valid[0, 0] = True
    ended = rng.random(shape) < endings
    ended[0, 0] = endings > 0
    for t in range(steps):  # an ending is played, and the step after it only resets
        if t:
            valid[t] &= ~ended[t - 1]
        ended[t] &= valid[t]
    games, by_rules, by_limit = int(ended.sum()), rng.random(shape) < 0.5, rng.random(shape) < 0.2
    return Trajectory(
        observations=some_observations(spec, (steps + 1, columns), rng),
        actions=actions,
        log_probs=-rng.random(shape, np.float32),
        rewards=rng.normal(size=shape).astype(np.float32),
        terminated=ended & by_rules,
        truncated=ended & (by_limit | ~by_rules),
        valid=valid,
        masks=masks if game.masked else None,
        version_offsets=some_versions(shape, spread, rng) if spread and steps * columns > 1 else None,
        episodes=some_games(games, rng, wins=game.wins),
    )


def some_observations(spec, shape, rng):
    """Observations [T + 1, B, ...] of the game's dtype."""
    shape = (*shape, *spec.game.observation_shape)
    if spec.game.observation_dtype == "uint8":
        return rng.integers(0, 256, shape, dtype=np.uint8)
    return rng.normal(size=shape).astype(np.float16).astype(np.float32)


def some_versions(shape, spread, rng):
    """The versions of steps [T, B], counted from the lowest: of the first step the lowest, of the last the highest."""
    offsets = rng.integers(0, spread + 1, shape, dtype=np.int32)
    offsets.flat[0], offsets.flat[-1] = 0, spread
    return offsets


def some_games(games, rng, *, wins):
    """The results of so many games, which began within the second before `CREATED_MS`."""
    if not games:
        return NO_EPISODES
    return Episodes(
        tuple(rng.normal(size=games).tolist()),
        tuple(rng.integers(1, 1000, games).tolist()),
        tuple((CREATED_MS - rng.integers(0, 1000, games)).tolist()),
        tuple((rng.random(games) < 0.5).tolist()) if wins else None,
    )


def some_actions(actions, shape, rng):
    """Actions [T, B, *action shape], and masks [T, B, A] that allow them."""
    if isinstance(actions, Box):
        return rng.normal(size=(*shape, *actions.shape)).astype(np.float32), None
    drawn = [rng.integers(0, size, shape, dtype=np.int32) for size in actions.sizes]
    masks = [rng.random((*shape, size)) < 0.5 for size in actions.sizes]
    for chosen, allowed in zip(drawn, masks, strict=True):
        np.put_along_axis(allowed, chosen[..., None], values=True, axis=2)
    return np.stack(drawn, axis=-1).reshape(*shape, *actions.shape), np.concatenate(masks, axis=2)


def header_of(trajectory, version=3, epoch=1, *, imported=False):
    """The header with which a trajectory is sent."""
    offsets = trajectory.version_offsets
    high = version + (0 if offsets is None else int(offsets.max()))
    return Header(epoch, (version, high), trajectory.steps, CREATED_MS, episodes=trajectory.episodes, imported=imported)


def receive(raw, spec):
    """What the learner does with an entry."""
    header, payload = parse_entry(raw)
    return decode_trajectory(payload, header, ACTOR, spec)


def decode_both(payload, header, spec):
    """By the definition, and by a learner's decoder that has seen payloads of the spec: what both give, or raise."""
    outcomes = []
    for decode in (lambda body, header, actor: decode_trajectory(body, header, actor, spec), DECODERS[spec].decode):
        try:
            outcomes.append(decode(payload, header, ACTOR))
        except WireError as error:
            outcomes.append(error)
    by_definition, quickly = outcomes
    assert type(by_definition) is type(quickly), outcomes
    if isinstance(quickly, WireError):
        raise quickly
    assert_same(by_definition, quickly)
    return quickly


def assert_same(sent, found):
    for field in dataclass_fields(Trajectory):
        ours, theirs = getattr(sent, field.name), getattr(found, field.name)
        if ours is None or isinstance(ours, Episodes):
            assert theirs == ours, field.name
        else:
            assert (theirs.dtype, theirs.shape) == (ours.dtype, ours.shape), field.name
            assert theirs.tobytes() == ours.tobytes(), field.name


def encoded(spec, **options):
    trajectory = make_trajectory(spec, **options)
    return header_of(trajectory), encode_trajectory(trajectory, ACTOR, spec)


def altered(spec, change, **options):
    """A valid payload with one thing changed in it, as msgpack sees it."""
    header, payload = encoded(spec, **options)
    DECODERS[spec].decode(payload, header, ACTOR)
    fields = msgpack.unpackb(payload)
    change(fields)
    return header, msgpack.packb(fields)


def assert_refused(spec, name, change, match=""):
    header, payload = altered(spec, change)
    with pytest.raises(WireError, match=rf"^{name}: .*{match}"):
        decode_trajectory(payload, header, ACTOR, spec)
    with pytest.raises(WireError, match=rf"^{name}: .*{match}"):
        DECODERS[spec].decode(payload, header, ACTOR)


ARRAYS = [field.name for field in dataclass_fields(Trajectory) if field.name != "episodes"]


def measured(call):
    """The most memory that a call held at once beyond what was there, and what it raised."""
    raised = None
    tracemalloc.start()
    try:
        call()
    except WireError as error:
        raised = error
    finally:
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    return peak, raised


def assert_bounded(raw, spec, constant=192 << 10):
    """Four times the input and a constant; no error but WireError.

    The constant is msgpack's: it goes 1024 levels deep, and makes each list that is open there in its full length.
    """
    size = sum(map(len, raw))
    peak, raised = measured(lambda: receive(raw, spec))
    if peak >= 4 * size + constant:  # once more, as now and then the interpreter's table of interned texts grows
        peak, raised = measured(lambda: receive(raw, spec))
    assert peak < 4 * size + constant, f"{peak} bytes for an input of {size}, which gave {raised}"
    return raised
