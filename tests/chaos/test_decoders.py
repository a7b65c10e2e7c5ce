"""Mutated bytes at everything that decodes: refused by an error of ours, or usable; never a crash, never a bloat.

Trajectories have mutants of their own in tests/properties/test_mutated_payloads.py; here are the other things
that come out of Redis or a file, and trajectories again with what takes knowledge of the format: fields swapped,
numbers that are none, huge sizes.
"""

from __future__ import annotations

import contextlib
import copy
import json
import tracemalloc
from dataclasses import replace

import msgpack
import numpy as np
import pytest
from support.runs import BEGAN_MS, SPEC, make_header, trajectory

from broodmind.common.actions import Box
from broodmind.common.errors import BroodmindError, ConfigError, LineageLost, WireError
from broodmind.common.spec import GameSpec, NetworkSpec, RunSpec
from broodmind.common.wire import codec
from broodmind.common.wire.trajectory import decode_trajectory, encode_trajectory
from broodmind.common.wire.weights import Pointer, decode_weights, digest
from broodmind.learner.algorithms.ppo.config import PPOConfig
from broodmind.learner.algorithms.trainer import Trainer
from broodmind.learner.ledger.counters import Counters
from broodmind.learner.ledger.head import Head
from broodmind.learner.metrics.run_metrics import History
from broodmind.learner.persistence.checkpoints import Checkpoints as Checkpointed
from broodmind.learner.persistence.checkpoints import read_checkpoint
from broodmind.learner.persistence.run_snapshot import LearnerState, RunSnapshot, encode_learner, expect_learner_state
from broodmind.learner.run.collapse import BLOCK_GAMES, BLOCK_VERSIONS
from broodmind.learner.run.collapse_response import CollapseResponse
from broodmind.learner.run.restore_point import KeptState, RestorePoint

WHOLE = 1_000_000  # at a tenth 100,000, in half a minute; whole in five
WEIGHED = 50  # one in so many is held against its size: tracing memory is slow
RICH = RunSpec(
    GameSpec("rich", (2,), Box((-1.0,), (1.0,))), NetworkSpec((4,), shared=True, normalize_observations=True), seed=3
)
ODD = (None, True, -1, 0, 1, 2**31, 2**53, 2**63, 2**64 - 1, -(2**63), 0.5, 1e300, float("nan"), float("inf"))
ODD += ("", "<f4", "|O", "x" * 5000, b"", b"\0" * 40, [], {}, [[]], {"a": 1}, [0] * 9)
WORDS = np.array([np.nan, np.inf, -np.inf, 3e38, -3e38, 1e-45, -0.0], "<f4").tobytes()
HEAD = Head(1, 7, "0123456789abcdef")


def states_of(spec):
    """A learner's state after a little work, and its weights."""
    trainer, history = Trainer(spec, PPOConfig()), History()
    for seed in range(3):
        played = trajectory(seed)
        header = make_header(1, 1, played.steps, played.episodes, 2 * 10**12 + seed, open_since_ms=BEGAN_MS + 2 - seed)
        history.versions_passed.published(2 + seed, 2 * 10**12)
        history.arrive([("a", header)], "a", 2 * 10**12)
        history.versions_passed.arrive([header])
        history.accept(header, [(1 + seed, played.steps)], 2 * 10**12)
        history.reject(header, 9)
    cursors, lineage = {"a": (7, 3), "b": (2**41, 1)}, {1: "ab", 2: "cd"}
    return encode_learner(HEAD, LearnerState(trainer.state(), history.state(), cursors, lineage)), trainer.weights()


class Decoder:
    """What one kind of bytes is decoded by, with valid examples, and the errors that may say they are not."""

    errors: tuple[type[BroodmindError], ...] = (WireError,)
    constant = 256 << 10  # msgpack makes an open list in its full length: 8 items, or 64 fields, a level

    def __init__(self, folder):
        self.examples = self.make()
        self.folder = folder

    def make(self):
        raise NotImplementedError


class Trajectories(Decoder):
    played = trajectory()
    header = make_header(1, 1, played.steps, played.episodes, 2 * 10**12)

    def make(self):
        return [encode_trajectory(self.played, "a", SPEC)]

    def decode(self, data):
        found = decode_trajectory(data, self.header, "a", SPEC)
        assert found.steps == self.header.steps
        assert all(np.isfinite(array).all() for array in (found.observations, found.rewards, found.log_probs))


class Weights(Decoder):
    """As if the pointer's digest were of the mutant: else none would be decoded."""

    def make(self):
        return [states_of(RICH)[1]]

    def decode(self, data):
        params = decode_weights(data, digest(data), RICH)
        assert all(np.isfinite(value).all() for value in params.values())


class States(Decoder):
    errors = (WireError, LineageLost, ConfigError)  # of another commit; of another algorithm
    constant = 2 << 20  # cursors are many: one list or map may be long

    def make(self):
        state, self.weights = states_of(RICH)
        self.trainer = Trainer(RICH, PPOConfig())
        return [state]

    def decode(self, data):
        self.use(RunSnapshot(HEAD, Counters(), data, self.weights))

    def use(self, stored):
        """It can be gone on with: shown, and written again."""
        history = History()
        state = stored.learner_state()
        with expect_learner_state():
            self.trainer.restore(stored.params(RICH), state.trainer)
            history.restore(state.history)
        history.metrics()
        json.dumps(history.rejections())
        encode_learner(stored.head, LearnerState(self.trainer.state(), history.state(), state.cursors, state.lineage))


class Checkpoints(States):
    def make(self):
        self.states = super().make()
        return []

    def __init__(self, folder):
        super().__init__(folder)
        stored = RunSnapshot(HEAD, Counters(updates=7, accepted=9), self.states[0], self.weights)
        self.examples = [Checkpointed(folder).save(stored, RICH).read_bytes()]

    def decode(self, data):
        file = self.folder / "mutant"
        file.write_bytes(data)
        stored, spec = read_checkpoint(file)
        assert isinstance(spec, RunSpec)
        self.use(stored)


class RestorePoints(Decoder):
    """What is restored with it, too: the history of the return."""

    errors = (WireError, ConfigError)
    constant = 512 << 10  # a message in a message

    def make(self):
        _, weights = states_of(RICH)
        self.trainer = Trainer(RICH, PPOConfig())
        self.response = CollapseResponse("restore", RICH, self.trainer)
        for version in range(1, 1 + 2 * BLOCK_VERSIONS):
            self.response.publish(replace(HEAD, version=version))
            self.response.arrive([(version, 0.5 * version)] * BLOCK_GAMES)
        state = KeptState(7, weights, codec.encode(self.trainer.state()))
        point = RestorePoint(state, state).encode()
        return [codec.encode({"state": self.response.state(), "learner": point})]

    def decode(self, data):
        fields = codec.decode(data, max_bytes=1 << 20)
        codec.check_fields(fields, {"state", "learner"})
        response, stored = CollapseResponse("restore", RICH, self.trainer), codec.take_bytes(fields, "learner")
        with expect_learner_state():
            # As if the digest were of the mutant.
            response.restore({**fields["state"], "restore_point": digest(stored)}, stored)
            point = RestorePoint.decode(stored)
            for state in filter(None, (point.best, point.current)):
                self.trainer.go_back(state.params(RICH), state.trainer_state())
        codec.encode(response.state())
        json.dumps(response.gauges())


class Pointers(Decoder):
    def make(self):
        return [Pointer(1, 7, HEAD.commit, digest(b"x"), 1).to_json().encode()]

    def decode(self, data):
        assert Pointer.from_json(data).length >= 0


class Specs(Decoder):
    errors = (ConfigError,)

    def make(self):
        return [SPEC.to_json().encode(), replace(RICH, seed=9).to_json().encode()]

    def decode(self, data):
        RunSpec.from_json(data).to_json()


def places(tree, found):
    """All (container, key) in a tree of lists and maps."""
    for key in tree if isinstance(tree, dict) else range(len(tree)):
        found.append((tree, key))
        if isinstance(tree[key], (dict, list)):
            places(tree[key], found)
    return found


def altered(chaos, tree):
    """The tree with one to three things done to it."""
    for _ in range(chaos.choice((1, 1, 1, 2, 3))):
        found = places(tree, [])
        if not found:
            return tree
        (inside, key), (other, another) = chaos.choice(found), chaos.choice(found)
        value, kind = inside[key], chaos.randrange(6)
        if kind == 0:  # swapped; one inside the other would be endless
            if not isinstance(value, (dict, list)) and not isinstance(other[another], (dict, list)):
                inside[key], other[another] = other[another], value
        elif kind == 1 and isinstance(value, bytes) and value:
            data, at = bytearray(value), chaos.randrange(0, len(value), 4)
            data[at : at + 4] = chaos.choice([WORDS[i : i + 4] for i in range(0, len(WORDS), 4)])
            inside[key] = bytes(data[: len(value)]) if chaos.randrange(4) else bytes(data[: -chaos.randint(1, 4)])
        elif kind == 2 and isinstance(inside, dict):
            inside[chaos.choice(("", "x", str(key) + "x", "format"))] = inside.pop(key)
        elif kind == 3:
            del inside[key]
        elif kind == 4 and isinstance(inside, list):
            inside.insert(key, copy.deepcopy(chaos.choice(ODD)))
        else:
            inside[key] = copy.deepcopy(chaos.choice(ODD))
    return tree


def mangled(chaos, example):
    """Bytes with something done to them that need not make sense."""
    data, kind = bytearray(example), chaos.randrange(5)
    if kind == 0:
        return chaos.randbytes(chaos.randrange(300))
    if kind == 1:
        return bytes(data[: chaos.randrange(len(data))])
    if kind == 2:
        start = chaos.randrange(len(data))
        data[start : start + chaos.randrange(30)] = chaos.randbytes(chaos.randrange(30))
    for _ in range(chaos.randint(1, 8)):
        data[chaos.randrange(len(data))] = chaos.randrange(256) if kind == 3 else chaos.choice(range(0x80, 0xE0))
    return bytes(data)


def mutant(chaos, decoder):
    example = chaos.choice(decoder.examples)
    if chaos.randrange(3) == 0:
        return mangled(chaos, example)
    if example.startswith(b"{"):
        return json.dumps(altered(chaos, json.loads(example)), default=lambda _: "bytes").encode()
    tree = msgpack.unpackb(example)
    for name in ("learner", "weights"):  # of a checkpoint: what is inside is msgpack again
        if isinstance(tree.get(name), bytes) and chaos.randrange(2):
            tree[name] = msgpack.packb(altered(chaos, msgpack.unpackb(tree[name])))
    return msgpack.packb(altered(chaos, tree))


def assert_bounded(decoder, data):
    """Four times the input and a constant. Weighed twice: a table of the interpreter's may happen to grow meanwhile."""
    peaks = []
    for _ in range(2):
        tracemalloc.start()
        with contextlib.suppress(*decoder.errors):
            decoder.decode(data)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        if peaks[-1] < 4 * len(data) + decoder.constant:
            return
    pytest.fail(f"{peaks} bytes for an input of {len(data)}: {data!r:.4000}")


@pytest.mark.parametrize(
    ("kind", "share"),
    [
        (Trajectories, 0.3),
        (Weights, 0.2),
        (States, 0.2),
        (Checkpoints, 0.1),
        (Pointers, 0.1),
        (Specs, 0.1),
        (RestorePoints, 0.1),
    ],
)
def test_mutated_bytes_are_refused_or_decode_to_something_usable(kind, share, times, chaos, tmp_path):
    decoder = kind(tmp_path)
    for example in decoder.examples:
        decoder.decode(example)
    taken = refused = 0
    total = times(int(WHOLE * share))
    for number in range(total):
        data = mutant(chaos, decoder)
        try:
            decoder.decode(data)
            taken += 1
        except decoder.errors:
            refused += 1
        except Exception as error:  # noqa: BLE001 - whatever it is
            pytest.fail(f"number {number}: {data!r:.4000} gave {error!r}")
        if number % WEIGHED == 0:
            assert_bounded(decoder, data)
    # Both happen often, or the mutants are too wild or too tame to say anything.
    assert min(taken, refused) > total // 100
