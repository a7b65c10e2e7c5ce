"""The socket of a run's embedded server, at a path that follows from the run's name, so that bots need no URL."""

from __future__ import annotations

import os
import socket
import sys
import tempfile
from pathlib import Path

from ..errors import ConfigError
from .keys import check_name

URL_VARIABLE = "BROODMIND_REDIS"
_PATH_BYTES = 103  # of a socket, on macOS; 107 on Linux


def local_socket(run: str) -> Path:
    """The socket's path, in a folder of this user alone.

    Raises:
        ConfigError: if the path would be too long for a socket, or the system has none.
    """
    if sys.platform == "win32":
        raise ConfigError("redis: none given, expected a URL: on Windows there is no embedded server")
    path = Path(tempfile.gettempdir()) / f"broodmind-{os.getuid()}" / f"{check_name('run', run)}.sock"
    if len(os.fsencode(path)) > _PATH_BYTES:
        raise ConfigError(
            f"run: {run!r}, expected a shorter name: the path of its socket may have {_PATH_BYTES} bytes ({path})"
        )
    return path


def running_socket(run: str) -> Path | None:
    """The socket's path, if a server listens there now."""
    try:
        path = local_socket(run)
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
            probe.connect(os.fspath(path))
    except (ConfigError, OSError):
        return None
    return path


def default_url(run: str) -> str:
    """The URL in the environment variable that the commands read too; else that of the embedded server."""
    return os.environ.get(URL_VARIABLE) or f"unix://{local_socket(run)}"
