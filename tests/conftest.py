from __future__ import annotations

import itertools
import os

import pytest
from hypothesis import HealthCheck, settings
from support.servers import KINDS, RealServer

# Before numpy is imported anywhere: tests start several processes on few cores.
for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[name] = "1"

# How long an example takes says something about the machine, and nothing about us.
settings.register_profile("any machine", settings(), deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any machine")

_runs = itertools.count(1)


@pytest.fixture(scope="session", params=KINDS)
def shared_server(request):
    """One server of each kind for the whole session; tests keep apart by their run's name."""
    server = RealServer(request.param)
    yield server
    server.close()


@pytest.fixture
def run() -> str:
    """A run's name that no other test has."""
    return f"run-{os.getpid()}-{next(_runs)}"


@pytest.fixture
def redis(shared_server):
    """A connection to the shared server, closed at the end."""
    connection = shared_server.connect()
    yield connection
    connection.close()
