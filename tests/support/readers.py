"""Readers of a run's weights with an actor's connection: `python -m support.readers URL RUN THREADS LAST_VERSION`.

Each thread fetches the newest version again and again until it has the last one, and checks the parameters. Every tenth
thread is so slow that a version which it fetches in parts has been deleted before it requests the second part. Prints
"reading" when every thread has fetched a version or a part of one, and at the end the results as JSON.
"""

from __future__ import annotations

import json
import logging
import sys
import threading
import time
from collections import Counter

from support.faulty_server import FaultyServer

from broodmind.actors.transport.blocking_connection import BlockingActorConnection
from broodmind.common.process.shutdown import Stop
from broodmind.common.server.keys import Keys
from broodmind.common.server.streams import Server
from broodmind.common.wire.weights import Pointer
from broodmind.learner.commit.commit import WEIGHTS_KEPT


class Reader(threading.Thread):
    def __init__(self, url, run, index, last):
        super().__init__(daemon=True)
        own = FaultyServer(url)
        self.connection, self.last = BlockingActorConnection(url, run, f"reader-{index}", server=own), last
        self.server, self.latest = Server(url), Keys(run).latest
        self.versions, self.mixed, self.under_way = [], 0, threading.Event()
        if index % 10 == 9:
            own.rule = self.wait_for_collection

    def run(self):
        never = Stop()
        self.connection.join(self.connection.read_spec(never))
        policy = None
        while policy is None or policy.pointer.version < self.last:
            policy = self.connection.policy(policy, never)
            version = policy.pointer.version
            self.versions.append(version)
            self.under_way.set()
            # The test that publishes a version fills all its parameters with the version's number.
            self.mixed += any((value != version).any() for value in policy.params.values())
            if version < self.last:
                self.connection.wait_for_newer(policy.pointer, never)

    def wait_for_collection(self, commands):
        command = commands[0]
        if command[0] == "GETRANGE" and command[2] > 0:
            self.under_way.set()
            version = int(command[1].rpartition("-")[2])
            collected = min(version + WEIGHTS_KEPT, self.last)
            while Pointer.from_json(self.server.call("GET", self.latest)).version < collected:
                time.sleep(0.01)


def main(url, run, threads, last):
    said = Counter()

    class Heard(logging.Handler):
        def emit(self, record):
            said[record.getMessage().partition(" error=")[0]] += 1

    logging.getLogger("broodmind").addHandler(Heard())
    readers = [Reader(url, run, index, int(last)) for index in range(int(threads))]
    for reader in readers:
        reader.start()
    for reader in readers:
        reader.under_way.wait(120)
    print("reading", flush=True)
    for reader in readers:
        reader.join()
    found = {
        "last": [reader.versions[-1] for reader in readers],
        "read": sum(len(reader.versions) for reader in readers),
        "mixed": sum(reader.mixed for reader in readers),
        "in_order": all(sorted(set(reader.versions)) == reader.versions for reader in readers),
        "asked_again": said["weights not usable, trying again"],
    }
    print(json.dumps(found))


if __name__ == "__main__":
    main(*sys.argv[1:])
