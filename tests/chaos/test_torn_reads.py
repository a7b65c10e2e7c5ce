"""Many readers while versions follow each other: nobody ever gets a mixture of two, and all end at the last one."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from support.paths import TESTS
from support.runs import SPEC, commit_after, taken_lease
from support.servers import PATIENCE_S

from broodmind.actors.transport.stored_versions import CHUNK_BYTES
from broodmind.common.policy.network import shapes
from broodmind.common.server.keys import Keys
from broodmind.common.spec import NetworkSpec
from broodmind.common.wire.weights import encode_weights
from broodmind.learner.commit.commit import WEIGHTS_KEPT, send
from broodmind.learner.ledger.head import Head

PUBLISHES, READERS, PROCESSES = 1000, 50, 2
SMALL = SPEC
LARGE = replace(SPEC, network=NetworkSpec(hidden=(200, 200)))  # in two parts


def filled_with(version, spec):
    """The weights of a version: all of them its number."""
    params = {name: np.full(shape, version, np.float32) for name, shape in shapes(spec.network, spec.game).items()}
    return encode_weights(params, spec)


def publish(redis, keys, lease, parent, spec):
    """The next version after a head; returns the new head."""
    commit = commit_after(parent)
    send(redis, keys, lease, replace(commit, weights=filled_with(commit.head.version, spec)))
    return commit.head


@pytest.mark.parametrize("spec", [SMALL, LARGE], ids=["whole", "in parts"])
def test_a_reader_never_gets_weights_of_two_versions_mixed(shared_server, redis, run, times, spec):
    keys, last = Keys(run), max(times(PUBLISHES), 4 * WEIGHTS_KEPT)
    assert (len(filled_with(1, spec)) > CHUNK_BYTES) == (spec is LARGE)
    redis.call("HSET", keys.spec, "json", spec.to_json())
    lease = taken_lease(redis, keys)
    head = publish(redis, keys, lease, Head(), spec)
    command = [sys.executable, "-m", "support.readers", shared_server.url, run, str(READERS // PROCESSES), str(last)]
    processes = [subprocess.Popen(command, cwd=TESTS, stdout=subprocess.PIPE, text=True) for _ in range(PROCESSES)]
    try:
        assert [process.stdout.readline() for process in processes] == ["reading\n"] * PROCESSES
        while head.version < last:
            head = publish(redis, keys, lease, head, spec)
        found = [json.loads(process.communicate(timeout=PATIENCE_S)[0]) for process in processes]
    finally:
        for process in processes:
            process.kill()
            process.communicate()
    for each in found:
        print(each)
        assert each["mixed"] == 0
        assert each["in_order"]
        assert each["last"] == [last] * (READERS // PROCESSES)
        assert each["read"] > len(each["last"])
        if spec is LARGE:  # those who are too slow did fetch torn weights, and were not handed them
            assert each["asked_again"] > 0
