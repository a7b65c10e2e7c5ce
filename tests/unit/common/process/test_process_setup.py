"""What a process sets up before it computes, seen from within one: it can be done once only."""

import ctypes
import json
import os
import platform
import subprocess
import sys

import pytest

from broodmind.common.process.process_setup import prepare_to_compute

LOOKING = """
import json, os, resource, sys
from broodmind.common.process.process_setup import prepare_to_compute
if sys.argv[1] == "prepared":
    prepare_to_compute()
import numpy as np

def use():
    for _ in range(100):
        [np.ones(1 << 18) for _ in range(8)]  # 2 MB each

use()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
use()
faults = resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
print(json.dumps({"faults": faults, "threads": os.environ.get("OPENBLAS_NUM_THREADS")}))
"""


def look(how, **environment):
    names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
    plain = {name: value for name, value in os.environ.items() if name not in names}
    command = [sys.executable, "-c", LOOKING, how]
    return json.loads(subprocess.check_output(command, env={**plain, **environment}, text=True))


def test_one_thread_unless_the_environment_says_otherwise():
    assert look("prepared")["threads"] == "1"
    assert look("prepared", OPENBLAS_NUM_THREADS="3")["threads"] == "3"
    assert look("plain")["threads"] is None


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="of glibc only")
def test_freed_memory_is_used_again():
    """Each page that comes fresh from the system is a fault: 512 of them an array."""
    assert look("prepared")["faults"] < 100


def test_with_another_c_library_nothing_is_asked_of_it(monkeypatch):
    """One without mallopt, as on macOS, and none that can be opened by no name, as on Windows."""

    def no_library(_name):
        raise TypeError("expected a name")

    for library in (lambda _: object(), no_library):
        monkeypatch.setattr(ctypes, "CDLL", library)
        prepare_to_compute()
