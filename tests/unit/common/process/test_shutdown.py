"""What asks a process to stop: the first signal, the second, and the end of its parent."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys

import pytest
from support.servers import wait_until

from broodmind.common.process.shutdown import Stop, stop_on_signal, stop_with_parent

TWICE = """
import os, signal, sys
from broodmind.common.process.shutdown import stop_on_signal
number = int(sys.argv[1])
with stop_on_signal() as stop:
    assert not stop.requested
    os.kill(os.getpid(), number)
    assert stop.requested
    print("draining", flush=True)
    os.kill(os.getpid(), number)
    print("still here", flush=True)
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_first_signal_asks_and_the_second_ends_the_process_at_once(number):
    done = subprocess.run([sys.executable, "-c", TWICE, str(int(number))], capture_output=True, text=True, check=False)
    assert (done.stdout, done.returncode) == ("draining\n", 128 + number), done.stderr


def test_the_handlers_of_before_come_back():
    before = signal.getsignal(signal.SIGTERM)
    with stop_on_signal():
        assert signal.getsignal(signal.SIGTERM) is not before
    assert signal.getsignal(signal.SIGTERM) is before


def test_what_a_parent_writes_is_passed_over_and_its_end_is_noticed():
    stop, (reading, writing) = Stop(), os.pipe()
    with os.fdopen(reading, "rb") as lifeline:
        stop_with_parent(stop, lifeline)
        for _ in range(3):
            os.write(writing, b"x")
            wait_until(lambda: not select.select([reading], [], [], 0)[0], timeout_s=20)  # the thread has read it
        assert not stop.requested
        os.close(writing)
        wait_until(lambda: stop.requested)


def test_a_lifeline_that_cannot_be_read_counts_as_ended(tmp_path):
    class Folder:
        def fileno(self):
            return descriptor

    descriptor, stop = os.open(tmp_path, os.O_RDONLY), Stop()
    stop_with_parent(stop, Folder())
    wait_until(lambda: stop.requested)
    assert stop.requested
    os.close(descriptor)
