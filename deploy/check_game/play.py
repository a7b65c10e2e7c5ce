"""Plays a game as an actor does, with random legal actions, and looks at what comes back."""

from __future__ import annotations

import threading
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from ...actors.games.two_player_game import random_player
from ...common.process.clock import monotonic_s
from .findings import error, ok, warning

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    from ...actors.games.vector_game import Step, VectorGame
    from ...common.spec import GameSpec
    from .findings import Finding

_SAME_STEPS = 60  # of two games with one seed
_LEAST_STEPS = 200
_LARGE = 100.0  # an observation or a reward beyond it makes slow or unstable training
_FEW_GAMES = 20
_NAMES = 3
_GIVE_UP = 5  # times the seconds, for a game whose steps are slow


@dataclass(slots=True)
class Played:
    """What was seen in some seconds of play of B copies."""

    spec: GameSpec
    copies: int
    steps: int = 0  # of each copy
    seconds: float = 0.0
    lengths: list[int] = field(default_factory=list)  # of games that ended
    returns: list[float] = field(default_factory=list)
    terminated: int = 0
    truncated: int = 0
    wins: int = 0
    reset_at_end: int = 0  # games whose last observation is the next one's first
    lowest: NDArray[np.float32] | None = None  # of each feature
    highest: NDArray[np.float32] | None = None
    not_finite: Counter[str] = field(default_factory=Counter)
    rewards_max: float = 0.0
    rewards_not_zero: int = 0
    legal_share: list[float] = field(default_factory=list)


def reproduces(make: Callable[[], VectorGame], seed: int) -> Iterator[Finding]:
    """Whether the seed decides what happens: two games with one seed and the same actions are the same game."""
    first, second, other = (_trace(make, each) for each in (seed, seed, seed + 1))
    if any(not np.array_equal(ours, theirs, equal_nan=True) for ours, theirs in zip(first, second, strict=True)):
        yield warning("seed", "two games with one seed and the same actions differ: --seed does not reproduce a run")
    elif all(np.array_equal(ours, theirs, equal_nan=True) for ours, theirs in zip(first, other, strict=True)):
        yield ok("seed", f"the same games with every seed, over {_SAME_STEPS} steps: there is no randomness in them")
    else:
        yield ok("seed", "decides the games")


def play(game: VectorGame, seed: int, seconds: float) -> Played:
    """Play for some seconds, at least some steps."""
    seen = Played(game.spec, game.num_envs)
    act, rng = random_player(game.spec), np.random.default_rng(seed)
    step = game.reset(seed)
    _look(seen, step)
    returns, lengths = np.zeros(game.num_envs), np.zeros(game.num_envs, np.int64)
    ended = np.zeros(game.num_envs, np.bool_)
    began_s = monotonic_s()
    while seen.steps < _LEAST_STEPS or monotonic_s() - began_s < seconds:
        last, resets = step.observations, ended
        step = game.step(act(np.asarray(step.observations, np.float32), step.masks, rng))
        seen.steps += 1
        _look(seen, step)
        same = (step.observations == last).reshape(game.num_envs, -1).all(axis=1)
        seen.reset_at_end += int((resets & same).sum())
        returns += step.rewards
        lengths += ~resets
        ended = step.terminated | step.truncated
        seen.returns += returns[ended].tolist()
        seen.lengths += lengths[ended].tolist()
        seen.terminated += int(step.terminated.sum())
        seen.truncated += int(step.truncated.sum())
        seen.wins += 0 if step.wins is None else int((step.wins & ended).sum())
        returns[ended], lengths[ended] = 0, 0
        if monotonic_s() - began_s > _GIVE_UP * seconds:
            break
    seen.seconds = monotonic_s() - began_s
    return seen


def findings_of(seen: Played) -> Iterator[Finding]:
    """What is to be said of a game that was played."""
    yield from _numbers(seen)
    yield from _rewards(seen)
    yield from _ends(seen)
    if seen.legal_share:
        yield ok("masks", f"{np.mean(seen.legal_share):.0%} of the options are legal on average")
    rate = seen.steps * seen.copies / max(seen.seconds, 1e-9)
    text = f"{rate:,.0f} steps a second in one process of {seen.copies} copies, with random actions"
    yield ok("speed", text) if rate >= 100 else warning("speed", f"{text}: add --actors, and machines")


def _numbers(seen: Played) -> Iterator[Finding]:
    for name, count in seen.not_finite.items():
        yield error("numbers", f"{name}: {count} that are not finite; such play is rejected")
    if seen.lowest is None or seen.highest is None:
        return
    largest = float(max(abs(seen.lowest.min()), abs(seen.highest.max())))
    constant = int((seen.lowest == seen.highest).sum())
    text = f"observations from {seen.lowest.min():.4g} to {seen.highest.max():.4g}"
    if largest > _LARGE and seen.spec.observation_dtype != "uint8":
        yield warning("numbers", f"{text}: use --normalize-observations, or scale them to about -1 to 1")
    else:
        yield ok("numbers", text)
    if constant == seen.lowest.size:
        yield warning("numbers", "all observations were the same: the policy sees nothing")


def _rewards(seen: Played) -> Iterator[Finding]:
    text = f"rewards up to {seen.rewards_max:.4g} either way"
    if seen.not_finite["rewards"]:
        return
    if seen.returns:
        text += f", returns {np.mean(seen.returns):.4g} on average, with random actions"
    if not seen.rewards_not_zero:
        yield warning(
            "rewards", f"all 0 in {seen.steps * seen.copies:,} steps: random play finds no reward to learn from"
        )
    else:
        yield ok("rewards", text)


def _ends(seen: Played) -> Iterator[Finding]:
    if not seen.lengths:
        yield warning(
            "ends",
            f"no game ended in {seen.steps:,} steps: give it an end or a limit, as gymnasium.wrappers.TimeLimit; "
            "without one there are no returns",
        )
        return
    counts = f"{seen.terminated} terminated and {seen.truncated} truncated, after {np.mean(seen.lengths):.1f} steps"
    yield ok(
        "ends",
        f"{len(seen.lengths)} games ended: {counts} on average" + (f", {seen.wins} won" if seen.spec.wins else ""),
    )
    if not seen.truncated and len(seen.lengths) >= _FEW_GAMES and len(set(seen.lengths)) == 1 and seen.lengths[0] > 1:
        yield warning(
            "ends",
            f"all games terminated after exactly {seen.lengths[0]} steps: if that is a time limit, return "
            "truncated=True and terminated=False there",
        )
    if seen.reset_at_end >= len(seen.lengths) - seen.copies >= _FEW_GAMES and not _sees_nothing(seen):
        yield warning(
            "ends", "the last observation of a game is the first of the next: step() must not reset by itself"
        )


def _sees_nothing(seen: Played) -> bool:
    return seen.lowest is not None and seen.highest is not None and bool((seen.lowest == seen.highest).all())


def threads_left(before: set[threading.Thread]) -> Iterator[Finding]:
    """Threads that the game left behind and that would keep a process from ending."""
    left = [each.name for each in threading.enumerate() if each not in before and not each.daemon]
    if left:
        names = ", ".join(left[:_NAMES]) + (", ..." if len(left) > _NAMES else "")
        yield warning("close", f"threads run on after close(): {names}; make them daemons, or end them")


def _look(seen: Played, step: Step) -> None:
    flat = step.observations.reshape(seen.copies, -1)
    for name, values in (("observations", flat), ("rewards", step.rewards)):
        bad = int(np.count_nonzero(~np.isfinite(values)))
        if bad:
            seen.not_finite[name] += bad
    with np.errstate(all="ignore"):
        low, high = flat.min(axis=0).astype(np.float32), flat.max(axis=0).astype(np.float32)
        seen.lowest = low if seen.lowest is None else np.fmin(seen.lowest, low)
        seen.highest = high if seen.highest is None else np.fmax(seen.highest, high)
        seen.rewards_max = float(np.fmax(seen.rewards_max, np.abs(step.rewards).max()))
    seen.rewards_not_zero += int(np.count_nonzero(step.rewards))
    if step.masks is not None:
        seen.legal_share.append(float(step.masks.mean()))


def _trace(make: Callable[[], VectorGame], seed: int) -> list[NDArray[np.float32]]:
    """Observations and rewards of a game, with actions that depend on the number of the step alone."""
    game = make()
    try:
        rng, act = np.random.default_rng(0), random_player(game.spec)
        step = game.reset(seed)
        trace = [np.asarray(step.observations, np.float32).copy()]
        for _ in range(_SAME_STEPS):
            step = game.step(act(np.asarray(step.observations, np.float32), step.masks, rng))
            trace += [np.asarray(step.observations, np.float32).copy(), step.rewards.copy()]
        return trace
    finally:
        game.close()
