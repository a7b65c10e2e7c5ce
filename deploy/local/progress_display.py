"""Live progress of a run: a table on a terminal, otherwise a line now and then."""

from __future__ import annotations

import itertools
import sys
from typing import TYPE_CHECKING, Protocol, Self

from ...common.process.clock import Every
from ...learner.ledger.counters import REJECTION_COUNTERS

if TYPE_CHECKING:
    from types import TracebackType

    from ..observe.run_view import RunView

_LINE_EVERY_S = 2.0
_PAIRS_A_ROW = 4  # pairs of label and value; a row fits into 80 columns
_FIGURES = {
    "steps": "steps",
    "steps_per_second": "steps/s",
    "games": "games",
    "version": "version",
    "return_mean": "return",
    "win_rate": "wins",
    "staleness_p95": "stale p95",
}


class Progress(Protocol):
    """Shows the progress of a run, as a context manager."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None: ...

    def show(self, view: RunView, seconds: float) -> None:
        """Show the current state of the run."""


def metrics(view: RunView, seconds: float) -> dict[str, str]:
    """All values that are shown, by label."""
    shown = {label: _short(view.stats[name]) for name, label in _FIGURES.items() if name in view.stats}
    rejected = sum(int(view.head.get(name, 0)) for name in REJECTION_COUNTERS)
    return {
        **shown,
        "lag": str(view.lag),
        "backlog": str(view.backlog),
        "rejected": str(rejected),
        "time": f"{seconds:.1f} s",
    }


def make_progress() -> Progress:
    """A table if standard error is a terminal and rich is installed, otherwise lines."""
    if sys.stderr.isatty():
        try:
            return Table()
        except ModuleNotFoundError:
            pass
    return Lines()


class Lines:
    """One line on standard error every few seconds."""

    def __init__(self) -> None:
        self._due = Every(_LINE_EVERY_S)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        return None

    def show(self, view: RunView, seconds: float) -> None:
        """See Progress."""
        if self._due.due():
            line = "   ".join(f"{label} {value}" for label, value in metrics(view, seconds).items())
            print(line, file=sys.stderr, flush=True)  # noqa: T201


class Table:
    """A table that is redrawn in place."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.live import Live

        self._live = Live(console=Console(stderr=True), refresh_per_second=8)

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self._live.stop()

    def show(self, view: RunView, seconds: float) -> None:
        """See Progress."""
        from rich.panel import Panel
        from rich.table import Table as RichTable

        grid = RichTable.grid(padding=(0, 1))
        for _ in range(_PAIRS_A_ROW):
            grid.add_column(style="dim", justify="right", no_wrap=True)
            grid.add_column(min_width=9)
        shown = list(itertools.chain.from_iterable(metrics(view, seconds).items()))
        for first in range(0, len(shown), 2 * _PAIRS_A_ROW):
            grid.add_row(*shown[first : first + 2 * _PAIRS_A_ROW])
        self._live.update(Panel(grid, title=f"run {view.stats['run']}", expand=False))


def _short(value: str) -> str:
    number = float(value)
    return f"{number:,.0f}" if number.is_integer() else f"{number:.3g}"
