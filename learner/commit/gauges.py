"""Writes gauges into the `stats` hash between two commits."""

from __future__ import annotations

from importlib.resources import files
from typing import TYPE_CHECKING

from ...common.server.streams import Script
from .lease import fenced

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ...common.server.keys import Keys
    from ...common.server.streams import Argument, Server
    from .lease import Lease

_GAUGES = Script(files(__package__).joinpath("gauges.lua").read_text())


def write_gauges(server: Server, keys: Keys, lease: Lease, gauges: Mapping[str, Argument]) -> None:
    """Write gauges, at the server's memory limit too. Raises LeaseLost if this learner does not hold the lease."""
    fields = [part for gauge in gauges.items() for part in gauge]
    fenced(server, _GAUGES, [keys.lease, keys.stats], lease.token, *fields)
