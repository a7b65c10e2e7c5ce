"""The books of a run: whether what Redis holds adds up. Read while nobody commits."""

from __future__ import annotations

import itertools

from support.runs import hash_of

from broodmind.common import wire
from broodmind.common.weights import Pointer, digest
from broodmind.learner.counters import REFUSALS


def flow(redis, keys) -> tuple[int, int]:
    """Entries ever added to the streams that there are, and those still in them."""
    added = left = 0
    for stream in redis.call("KEYS", keys.trajectories("*").replace("{", "[{]").replace("}", "[}]")):
        raw = redis.call("XINFO", "STREAM", stream)
        fields = dict(zip(raw[::2], raw[1::2], strict=True))
        added, left = added + fields[b"entries-added"], left + fields[b"length"]
    return added, left


def check_counts(redis, keys) -> dict[str, int]:
    """Every entry ever added is still there, or counted once; returns the head's counters."""
    head = {name: int(value) for name, value in hash_of(redis, keys.head).items() if value.isdigit()}
    added, left = flow(redis, keys)
    refused = sum(head[name] for name in REFUSALS)
    assert added - left == head["accepted"] + refused, f"{added} added, {left} left, {head}"
    return head


def check_state(redis, keys) -> None:
    """Head, pointer, weights and learner state are those of one commit; the versions are a chain up to it."""
    head = hash_of(redis, keys.head)
    at = (int(head["epoch"]), int(head["version"]))
    pointer = Pointer.from_json(redis.call("GET", keys.latest))
    blob = redis.call("GET", keys.weights(*at))
    assert (pointer.epoch, pointer.version) == at
    assert (digest(blob), len(blob)) == (pointer.digest, pointer.length)
    learner = wire.decode(redis.call("GET", keys.learner), max_bytes=1 << 30, max_list=1 << 16, max_map=1 << 16)
    assert learner["commit"] == head["commit"]
    versions = []
    for raw_id, raw in redis.call("XRANGE", keys.versions, "-", "+"):
        fields = {name.decode(): value.decode() for name, value in zip(raw[::2], raw[1::2], strict=True)}
        assert raw_id.decode() == f"{fields['epoch']}-{fields['version']}"
        versions.append(fields)
    assert (int(versions[-1]["epoch"]), int(versions[-1]["version"])) == at
    assert versions[-1]["commit"] == pointer.commit
    for before, after in itertools.pairwise(versions):
        if before["epoch"] == after["epoch"]:
            assert int(after["version"]) == int(before["version"]) + 1
            assert int(after["updates"]) == int(before["updates"]) + 1
            assert int(after["accepted"]) > int(before["accepted"])
        else:
            assert int(after["epoch"]) > int(before["epoch"])
