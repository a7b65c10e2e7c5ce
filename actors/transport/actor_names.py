"""Default names for actors."""

from __future__ import annotations

import os
import platform
import re


def host_name() -> str:
    """This machine's name. Characters that an actor's name may not have are replaced by a hyphen."""
    return re.sub(r"[^A-Za-z0-9_.-]", "-", platform.node())[:40] or "host"


def process_name() -> str:
    """Host and process id, which no two processes share at the same time."""
    return f"{host_name()}-{os.getpid()}"
