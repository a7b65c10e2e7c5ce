"""Mutated payloads are decoded or refused, with no other error."""

import msgpack
import numpy as np
import pytest
from support.payloads import (
    ACTOR,
    ARRAYS,
    DECODERS,
    PLAIN,
    RICH,
    assert_bounded,
    decode_both,
    encoded,
)

from broodmind.common.errors import WireError
from broodmind.common.wire.entry_header import parse_entry

SEED, MUTANTS = 20_260_727, 100_000
# Each byte of these begins something else in msgpack: maps, lists, text, numbers, extensions, declared lengths.
SPICES = bytes([0x00, 0x7F, 0x80, 0x8F, 0x90, 0x9F, 0xA0, 0xBF, *range(0xC0, 0xE0), 0xFF])
REPLACEMENTS = (None, True, -1, 0, 2**63, 2**64 - 1, 1.5, float("nan"), "", "<f4", "|O", b"", b"\0" * 40, [], {}, [[]])


def mutant(rng, payload, payloads):
    """A payload with something done to it, or bytes out of nowhere."""
    data = bytearray(payload)
    kind = rng.integers(7)
    if kind == 0:
        return rng.bytes(int(rng.integers(0, 200)))
    if kind == 1:
        for _ in range(int(rng.integers(1, 6))):
            data[rng.integers(len(data))] ^= 1 << int(rng.integers(8))
    elif kind == 2:
        for _ in range(int(rng.integers(1, 4))):
            data[rng.integers(len(data))] = SPICES[rng.integers(len(SPICES))]
    elif kind == 3:
        del data[int(rng.integers(len(data))) :]
    elif kind == 4:
        start = int(rng.integers(len(data)))
        data[start : start + int(rng.integers(0, 20))] = rng.bytes(int(rng.integers(0, 20)))
    elif kind == 5:
        other = payloads[rng.integers(len(payloads))]
        data[int(rng.integers(len(data))) :] = other[int(rng.integers(len(other))) :]
    else:  # well-formed msgpack with one part replaced
        fields = msgpack.unpackb(bytes(data))
        name, value = list(fields)[rng.integers(len(fields))], REPLACEMENTS[rng.integers(len(REPLACEMENTS))]
        if isinstance(fields[name], list) and rng.integers(4):
            part = int(rng.integers(3))
            if part == 1 and rng.integers(2):
                fields[name][1][int(rng.integers(len(fields[name][1])))] = value
            else:
                fields[name][part] = value
        else:
            fields[name] = value
        return msgpack.packb(fields)
    return bytes(data)


def mutated_entry(rng, raw):
    """Now and then something is done to the entry around the payload too."""
    raw = list(raw)
    kind = rng.integers(12)
    if kind == 0:
        raw[rng.integers(len(raw) - 1)] = rng.bytes(int(rng.integers(0, 12)))
    elif kind == 1:
        raw[int(rng.integers(10)) * 2 + 1] = str(rng.integers(-(2**63), 2**63 - 1)).encode()
    elif kind == 2:
        del raw[: 2 * int(rng.integers(1, 7))]
    return raw


def outcome(raw, spec, *, weigh):
    """The trajectory, or the WireError; anything else would have ended the learner."""
    if weigh:
        assert_bounded(raw, spec)
    try:
        header, payload = parse_entry(raw)
        return decode_both(payload, header, spec)
    except WireError as error:
        return error


@pytest.mark.parametrize("spec", [PLAIN, RICH], ids=["plain", "rich"])
def test_mutated_bytes_are_decoded_or_refused_and_nothing_else(spec):
    rng = np.random.default_rng([SEED, spec.game.actions.n])
    originals = [encoded(spec, steps=steps, seed=steps) for steps in (1, 2, 3, 5)]
    payloads = [payload for _, payload in originals] + [encoded(other)[1] for other in (PLAIN, RICH)]
    for header, payload in originals:
        DECODERS[spec].decode(payload, header, ACTOR)
    taken = refused = 0
    for number in range(MUTANTS // 2):
        header, payload = originals[rng.integers(len(originals))]
        raw = mutated_entry(rng, header.to_bytes(mutant(rng, payload, payloads)))
        said = f"seed {SEED}, {spec.game.name}, number {number}: {raw}"
        try:
            result = outcome(raw, spec, weigh=number % 100 == 0)
        except Exception as error:  # noqa: BLE001 - whatever it is
            pytest.fail(f"{said} gave {error!r}")
        if isinstance(result, WireError):
            refused += 1
            assert str(result).partition(":")[0] in {*ARRAYS, "format", "actor", "entry", "payload"}, said
        else:
            taken += 1
            # What is taken can be trained on.
            assert result.steps >= 1, said
            assert ((result.actions >= 0) & (result.actions < spec.game.actions.n)).all(), said
            assert np.isfinite(result.observations).all(), said
            assert result.observations.shape[2:] == spec.game.observation_shape, said
    # Both happen often, or the mutants are too wild or too tame to say anything.
    assert min(taken, refused) > MUTANTS // 100
