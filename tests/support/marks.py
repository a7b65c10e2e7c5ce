"""Marks for tests of several folders."""

from __future__ import annotations

import pytest

# For what a process does before it talks to a server, or with what it got from one. That both kinds do the same with
# our commands is tested where these are: connections, streams, commits, rights, and whole runs.
one_kind = pytest.mark.parametrize("shared_server", ["valkey"], indirect=True)
