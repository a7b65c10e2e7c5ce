"""Live progress of a run: a panel on a terminal, otherwise a line now and then."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, Protocol, Self

from ...common.process.clock import Every
from .progress_figures import all_values, goals, warnings

if TYPE_CHECKING:
    from types import TracebackType

    from .progress_figures import LocalRun
    from .run_view import RunView

_LINE_EVERY_S = 2.0
_DRAW_EVERY_S = 0.125
_LABEL, _VALUE = 10, 11  # columns: "1,234,567" is nine
_FRAME = 4  # the panel's border, and a column inside it on each side
_BAR = 24  # at most


class Progress(Protocol):
    """Shows the progress of a run, as a context manager."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None: ...

    def show(self, view: RunView, seconds: float) -> None:
        """Show the current state of the run."""

    def note(self, text: str) -> None:
        """Write a line that stays."""


def make_progress(run: LocalRun) -> Progress:
    """A panel if standard error is a terminal and rich is installed, otherwise lines."""
    if sys.stderr.isatty():
        try:
            return Table(run)
        except ModuleNotFoundError:
            pass
    return Lines(run)


class Lines:
    """One line on standard error every few seconds."""

    def __init__(self, run: LocalRun) -> None:
        self._run, self._due = run, Every(_LINE_EVERY_S)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        return None

    def show(self, view: RunView, seconds: float) -> None:
        """See Progress."""
        if self._due.due():
            self.note("   ".join(f"{label} {value}" for label, value in all_values(self._run, view, seconds).items()))

    def note(self, text: str) -> None:
        """See Progress."""
        print(text, file=sys.stderr, flush=True)  # noqa: T201


class Table:
    """A panel that is redrawn in place, as wide as the terminal. What is logged meanwhile stands above it."""

    def __init__(self, run: LocalRun) -> None:
        from rich.console import Console
        from rich.live import Live

        self._run, self._due = run, Every(_DRAW_EVERY_S)
        self._shown: tuple[RunView, float] | None = None
        # Drawn by this thread alone: one of rich's own, at the same time as a log line, could draw over what is above.
        self._live = Live(console=Console(stderr=True), auto_refresh=False)

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        if self._shown is not None:
            self._draw(*self._shown)
        self._live.stop()

    def show(self, view: RunView, seconds: float) -> None:
        """See Progress."""
        self._shown = view, seconds
        if self._due.due():
            self._draw(view, seconds)

    def _draw(self, view: RunView, seconds: float) -> None:
        from rich.console import Group
        from rich.panel import Panel
        from rich.text import Text

        run, width = self._run, self._live.console.width
        parts: list[Any] = [self._values(view, seconds, width), *self._goals(view, seconds, width)]
        parts += [Text(warning, style="yellow") for warning in warnings(view)]
        self._live.update(Panel(Group(*parts), title=Text(f"run {run.name}, {run.game}"), width=width), refresh=True)

    def note(self, text: str) -> None:
        """See Progress."""
        self._live.console.print(text, markup=False, highlight=False)

    def _values(self, view: RunView, seconds: float, width: int) -> Any:  # noqa: ANN401 - rich is imported late
        from rich.table import Table as RichTable

        values = all_values(self._run, view, seconds)
        long = {label: value for label, value in values.items() if len(value) > _VALUE or len(label) > _LABEL}
        short = [(label, value) for label, value in values.items() if label not in long]
        pairs = max((width - _FRAME) // (_LABEL + _VALUE + 2), 1)
        grid = RichTable.grid(padding=(0, 1))
        for _ in range(pairs):
            grid.add_column(style="dim", justify="right", width=_LABEL)
            grid.add_column(width=_VALUE)
        for first in range(0, len(short), pairs):
            grid.add_row(*(cell for pair in short[first : first + pairs] for cell in pair))
        if not long:
            return grid
        from rich.console import Group

        wide = RichTable.grid(padding=(0, 1))
        wide.add_column(style="dim", justify="right", min_width=_LABEL)
        wide.add_column(overflow="fold")
        for label, value in long.items():
            wide.add_row(label, value)
        return Group(grid, wide)

    def _goals(self, view: RunView, seconds: float, width: int) -> list[Any]:
        from rich.progress_bar import ProgressBar
        from rich.table import Table as RichTable

        grid = RichTable.grid(padding=(0, 1))
        grid.add_column(style="dim", justify="right", width=_LABEL)
        grid.add_column(width=min(_BAR, max(width - _FRAME - _LABEL - 30, 5)))
        grid.add_column(overflow="fold")
        for goal in goals(self._run, view, seconds):
            bar = ProgressBar(total=1.0, completed=goal.share, width=None)
            grid.add_row("goal", bar, f"{goal.share:.0%} of {goal.text}")
        return [grid] if grid.row_count else []
