"""Names for actors that were given none."""

from __future__ import annotations

import os
import platform
import re


def host_name() -> str:
    """This machine's name, as far as it may stand in an actor's."""
    return re.sub(r"[^A-Za-z0-9_.-]", "-", platform.node())[:40] or "host"


def process_name() -> str:
    """Host and process: no two processes share it."""
    return f"{host_name()}-{os.getpid()}"
