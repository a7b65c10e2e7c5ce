"""The part of a run's record that `broodmind up` writes itself: how the run was started, and TensorBoard's files.

It waits for some seconds, because a short run needs the processors and the memory for itself.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from ...common.errors import BroodmindError
from ...common.process.clock import Every
from ...common.process.log import Log

if TYPE_CHECKING:
    from ...common.server.keys import Keys
    from ...common.server.streams import Server
    from ..config.given import Given
    from ..records.run_folder import RunFolder
    from .tensorboard import TensorBoardFiles

_QUIET_S = 10.0  # at the beginning of the run
_EVERY_S = 2.0
_AFTER_ERROR_S = 60.0  # a full disk is not tried every other second
_log = Log("record")


class LiveRecord:
    """Call `look` again and again while the run goes on, and `finish` once its processes have ended."""

    def __init__(self, folder: RunFolder, given: Given, server: Server, keys: Keys, began_ms: int) -> None:
        self._began_s = began_ms / 1000
        self._folder, self._given, self._server, self._keys = folder, given, server, keys
        self._due = Every(_EVERY_S)
        self._resumed_steps: int | None = None
        self._is_started = False  # the start is recorded
        self._tensorboard: TensorBoardFiles | None = None

    def look(self, seconds: float, resumed_steps: int) -> None:
        """Write what is due.

        Args:
            seconds: since the run's start.
            resumed_steps: trained before it, as its learner has reported.
        """
        self._resumed_steps = resumed_steps
        if seconds < _QUIET_S or not self._due.due():
            return
        try:
            self._record_start(resumed_steps)
            self._files().update()
        except OSError as error:
            self._due.period_s = _AFTER_ERROR_S
            _log.warning("record not written", error=error)

    def finish(self) -> None:
        """Write all that is left; nothing if no learner has reported."""
        if self._resumed_steps is None:
            return
        try:
            self._record_start(self._resumed_steps)
            self._files().close()
        except (OSError, BroodmindError) as error:  # a server that is gone is the run's error, and not the record's
            _log.warning("record not written", error=error)

    def _record_start(self, resumed_steps: int) -> None:
        if self._is_started:
            return
        from ..config.differing import differing
        from .run_start import command_line, write_start

        plain: dict[str, Any] = json.loads(self._server.call("HGET", self._keys.spec, "config"))
        settings = differing(self._given, local=True)
        write_start(self._folder, plain, settings, command_line(), self._began_s, resumed_steps)
        self._is_started = True

    def _files(self) -> TensorBoardFiles:
        from .tensorboard import TensorBoardFiles

        if self._tensorboard is None:
            self._tensorboard = TensorBoardFiles(self._folder)
        return self._tensorboard
