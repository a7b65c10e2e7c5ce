"""What is done about a collapse of the return: the run goes back to its best state, with half the learning rate.

The version number goes on rising, and so does everything that is counted; only the weights are those of an earlier
version. If the return does not come back with them, it is not the policy that has changed, but the game or who else is
in it: the rate is what it was before, and what is played now counts as a new beginning.
"""

from __future__ import annotations

from operator import index
from typing import TYPE_CHECKING, Any

from ...common.process.log import Log
from ...common.wire import codec
from ...common.wire.weights import digest
from .collapse import Collapse
from .restore_point import KeptState, RestorePoint

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from ...common.server.streams import Argument
    from ...common.spec import RunSpec
    from ..algorithms.trainer import Trainer
    from ..config import OnCollapse
    from ..ledger.head import Head

RESTORATIONS_MOST = 5  # without a new best
RATE_FACTOR = 0.5  # of each restoration
PASSED_OVER_MOST = 256  # entries of versions before a restoration
_WARNING_MAX = 1000
_log = Log("learner")


class CollapseResponse:
    """Follows the return, keeps the state of its best block, and goes back to it. Stored with the learner's state.

    Neither clock nor random numbers are used: the same games give the same answer.
    """

    def __init__(self, mode: OnCollapse, spec: RunSpec, trainer: Trainer) -> None:
        """Args: trainer: what is kept and set back is its state."""
        self._mode, self._spec, self._trainer = mode, spec, trainer
        self._collapse, self._begun = Collapse(), False
        self._best: KeptState | None = None
        self._current: KeptState | None = None
        self.stored = b""  # both, encoded; empty where nothing is kept
        self._digest = digest(b"")  # of it
        self._unsaved = False
        self._collapses = self._restorations = 0
        self._tries = 0  # restorations since the last best block
        self._halvings = 0
        self._recovering = False  # the return has not come back since the last restoration
        self._passed_over = 0
        # Play of earlier ones is not trained on, see `pass_over`. In lock step 0: there an actor whose play is rejected
        # waits for a version that never comes; and there is none, unless it was asked to play with old versions.
        self.oldest_version = 0
        self.warning = ""  # while the return is low; empty where it is not

    def arrive(self, games: Iterable[tuple[int, float]]) -> None:
        """Add games that count in the run's figures; see `Collapse.add`."""
        if self._begun:
            self._collapse.add(games)

    def publish(self, head: Head) -> None:
        """Judge the block if it is complete, and do what is to be done, before the version of `head` is published."""
        if self._mode == "off" or (self._begun and not self._collapse.complete(head.version)):
            return
        if self._begun:
            outcome = self._collapse.judge()
            if outcome == "best":
                self._best, self._tries = self._current, 0
            if outcome in {"best", "usual"}:
                self._recovering, self.warning = False, ""
            if outcome == "collapse":
                self._answer(head)
        self._collapse.begin(head.version)
        self._begun = True
        if self._mode == "restore":
            self._current = KeptState(head.version, self._trainer.weights(), codec.encode(self._trainer.state()))
            self.stored, self._unsaved = RestorePoint(self._best, self._current).encode(), True
            self._digest = digest(self.stored)

    def pass_over(self, entries: int) -> None:
        """Note entries that were rejected because of `oldest_version`.

        They are what was in play when the run went back: play of the collapsed policy, as far from the restored one as
        its versions are near. It is bounded, so that a run goes on whose actors play with older versions all the time.
        """
        self._passed_over += entries
        if self._passed_over >= PASSED_OVER_MOST:
            self.oldest_version = 0

    def forget(self) -> None:
        """Begin anew: what was kept must not come back."""
        self._collapse, self._begun, self._best, self._current = Collapse(), False, None, None
        self.stored, self._digest, self._unsaved = b"", digest(b""), False
        self._recovering, self.warning = False, ""

    def save_again(self) -> None:
        """The server may have lost what is kept."""
        self._unsaved = bool(self.stored)

    def take_unsaved(self) -> bytes | None:
        """What the next commit must store; None: what is stored is as it was."""
        unsaved, self._unsaved = self._unsaved, False
        return self.stored if unsaved else None

    def counts(self) -> dict[str, int]:
        """For the record and the hash `stats`; empty where nobody looks."""
        return {} if self._mode == "off" else {"collapses": self._collapses, "restorations": self._restorations}

    def gauges(self) -> dict[str, Argument]:
        """For the hash `stats`."""
        return {**self.counts(), "warning_collapse": self.warning}

    def state(self) -> dict[str, Any]:
        """For `restore`; empty where nobody looks."""
        if not self._begun:
            return {}
        return {
            "collapse": self._collapse.state(),
            "restore_point": self._digest,
            "collapses": self._collapses,
            "restorations": self._restorations,
            "tries": self._tries,
            "halvings": self._halvings,
            "recovering": self._recovering,
            "passed_over": self._passed_over,
            "oldest_version": self.oldest_version,
            "warning": self.warning,
        }

    def restore(self, state: Mapping[str, Any], stored: bytes) -> None:
        """Continue from a decoded result of `state`, and from what was kept with it.

        Raises TypeError, KeyError, ValueError or WireError if it is not one. Without what was kept, the next block is
        the first.
        """
        if self._mode == "off" or not state:
            return
        self._collapse.restore(state["collapse"])
        self._collapses, self._restorations = index(state["collapses"]), index(state["restorations"])
        self._tries, self._halvings = index(state["tries"]), index(state["halvings"])
        self._passed_over, self.oldest_version = index(state["passed_over"]), index(state["oldest_version"])
        self._recovering, self.warning = bool(state["recovering"]), str(state["warning"])[:_WARNING_MAX]
        self._trainer.rate_factor = RATE_FACTOR**self._halvings
        self._begun = True
        if self._mode == "restore":
            if not stored or digest(stored) != state["restore_point"]:
                _log.warning("the state to go back to is not there: the next games count as the first")
                self.forget()
                return
            point = RestorePoint.decode(stored)
            self._best, self._current = point.best, point.current
            self.stored, self._digest = stored, state["restore_point"]

    def _answer(self, head: Head) -> None:
        best, last = self._collapse.best, self._collapse.last
        means = {"mean": f"{last.mean:.4g}" if last else "", "best": f"{best.mean:.4g}" if best else ""}
        if self._recovering:
            self._give_up(head, means)
            return
        self._collapses += 1
        if self._mode != "restore" or self._best is None:
            self._warn("the return has collapsed", means, version=head.version)
        elif self._tries >= RESTORATIONS_MOST:
            said = f"the return has collapsed again, after {self._tries} restorations without a new best"
            self._warn(said, means, version=head.version)
        else:
            self._go_back(self._best, head, means)

    def _go_back(self, best: KeptState, head: Head, means: Mapping[str, str]) -> None:
        self._trainer.go_back(best.params(self._spec), best.trainer_state())
        self._restorations, self._tries, self._halvings = self._restorations + 1, self._tries + 1, self._halvings + 1
        self._trainer.rate_factor = RATE_FACTOR**self._halvings
        self._recovering = True
        self._collapse.look_again()
        if not self._spec.rollout.lock_step:
            self.oldest_version, self._passed_over = head.version, 0
        said = "the return has collapsed: went back to the best state"
        more = {"of_version": best.version, "learning_rate_factor": self._trainer.rate_factor}
        self._warn(said, means, version=head.version, **more)

    def _give_up(self, head: Head, means: Mapping[str, str]) -> None:
        """The best state does not play better than what it replaced."""
        self._halvings -= 1
        self._trainer.rate_factor = RATE_FACTOR**self._halvings
        self._collapse, self._best, self._recovering = Collapse(), None, False
        said = "the return did not come back with the best state: the game has changed, or who plays in it; begins anew"
        self._warn(said, means, version=head.version, learning_rate_factor=self._trainer.rate_factor)

    def _warn(self, said: str, means: Mapping[str, str], **more: float) -> None:
        _log.warning(said, **means, **more)
        self.warning = f"{said} (version {more['version']}, mean return {means['mean']}, best {means['best']})"
