from __future__ import annotations

import importlib.util
import itertools
import os
import sys

import pytest
from hypothesis import HealthCheck, settings
from support.servers import KINDS, RealServer

from broodmind.common.server.keys import Keys

# Before numpy is imported anywhere: tests start several processes on few cores.
for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[name] = "1"

# Many container images set it, and each of the hundreds of processes that tests start would compile the package anew.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False

# How long an example takes says something about the machine, and nothing about us.
settings.register_profile("any machine", settings(), deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any machine")

_runs = itertools.count(1)


_OTHERS = ("pyspiel", "rlax")  # what tests marked `reference` compare with


def pytest_runtest_setup(item):
    """A missing installation fails, rather than to leave out what was asked for."""
    if item.get_closest_marker("reference"):
        missing = [name for name in _OTHERS if importlib.util.find_spec(name) is None]
        if missing:
            pytest.fail(f"{missing}: not installed, expected the extra `reference`, which `make test` installs")


@pytest.fixture(scope="session")
def shared_servers():
    """The servers that run, by kind. A parameter that changes back and forth between tests ends none of them."""
    servers: dict[str, RealServer] = {}
    yield servers
    for server in servers.values():
        server.close()


@pytest.fixture(scope="session", params=KINDS)
def shared_server(request, shared_servers):
    """One server of each kind for a whole worker; tests keep apart by their run's name."""
    kind = request.param
    if kind not in shared_servers:
        shared_servers[kind] = RealServer(kind)
    return shared_servers[kind]


@pytest.fixture(scope="session")
def each_server(shared_servers):
    """The shared servers, one of each kind, for a test that compares what it did with them."""
    for kind in KINDS:
        if kind not in shared_servers:
            shared_servers[kind] = RealServer(kind)
    return [shared_servers[kind] for kind in KINDS]


@pytest.fixture
def run() -> str:
    """A run's name that no other test has."""
    return f"run-{os.getpid()}-{next(_runs)}"


@pytest.fixture
def keys(run) -> Keys:
    """The keys of the run that `run` names."""
    return Keys(run)


@pytest.fixture
def redis(shared_server):
    """A connection to the shared server, closed at the end."""
    connection = shared_server.connect()
    yield connection
    connection.close()
