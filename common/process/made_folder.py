"""The folders that settings name: made at the start, or an error that names the setting, the path and the reason."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING

from ..errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path


def make_folder(setting: str, path: Path) -> None:
    """Make a folder, and those that it is in, unless it is there. Raises ConfigError if it cannot be made or written.

    To be called before anything is started: whoever writes to it hours later may have nobody to tell.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
        if not os.access(path, os.W_OK | os.X_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
    except OSError as error:
        raise ConfigError(
            f"{setting}: {str(path)!r}, expected a folder that can be written ({error.strerror})"
        ) from error
