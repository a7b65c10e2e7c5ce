"""Keeps the files that are derived from a run's metrics up to date: TensorBoard's in a thread, the curve at the end."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Self

from ...common.process.log import Log
from ..records.learning_curve import draw_run
from .tensorboard import TensorBoardFiles

if TYPE_CHECKING:
    from types import TracebackType

    from ..records.run_folder import RunFolder

_EVERY_S = 5.0
_log = Log("record")


class DerivedFiles:
    """For a learner that nobody else watches, as a context manager: at its end the files are complete.

    Args:
        folder: of the run.
        title: of the picture.
        every_s: the time between two looks at the metrics.
    """

    def __init__(self, folder: RunFolder, title: str, every_s: float = _EVERY_S) -> None:
        self._folder, self._title, self._every_s = folder, title, every_s
        self._ending = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin to follow the metrics; to be called once this process is the run's learner."""
        self._thread = threading.Thread(target=self._run, name="broodmind-tensorboard", daemon=True)
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        if self._thread is None:
            return
        self._ending.set()
        self._thread.join()
        try:
            draw_run(self._folder, self._title)
        except OSError as error:
            _log.warning("curve not drawn", error=error)

    def _run(self) -> None:
        try:
            files = TensorBoardFiles(self._folder)
            while not self._ending.wait(self._every_s):
                files.update()
            files.close()
        except OSError as error:  # the metrics are there, and the next start derives the files from them
            _log.warning("TensorBoard's files not written", error=error)
