"""Checks of one environment of Gymnasium by itself: Gymnasium's own checker, and what a vector of copies would hide."""

from __future__ import annotations

import re
import warnings
from typing import TYPE_CHECKING, Any

import gymnasium
import numpy as np
from gymnasium.utils.env_checker import check_env
from gymnasium.vector.utils import batch_space, iterate

from ...actors.games.adapter.action_space import ActionAdapter
from ...actors.games.adapter.misfit import observation_problem
from ...actors.games.adapter.observation_space import MASK
from ...actors.games.checks.game_errors import game_code, in_words
from .findings import error, ok, warning

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from gymnasium import spaces
    from numpy.typing import NDArray

    from .findings import Finding

_STEPS = 300
_COLOURS = re.compile(r"\x1b\[\d*m")
# What Gymnasium's checker says of environments that Broodmind takes as well as any other.
_NO_MATTER = (
    *("env.spec", "render", "wrapped in", "is different from the unwra", "probably too low", "probably too high"),
    *("recommend using a symmetric", "overflow encountered"),
)


class _Legal(gymnasium.Wrapper[Any, Any, Any, Any]):
    """Replaces actions that the mask forbids: the checker knows no masks, and an environment may raise at such ones."""

    def __init__(self, env: gymnasium.Env[Any, Any]) -> None:
        super().__init__(env)
        self._mask: Any = None

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """See Env."""
        returned = self.env.reset(seed=seed, options=options)
        self._mask = _mask_in(returned)
        return returned

    def step(self, action: Any) -> Any:  # noqa: ANN401 - as the environment has it
        """See Env. The same action and mask always give the same action."""
        if self._mask is not None:
            adapter = ActionAdapter("", self.action_space)
            action = _action(adapter, self.action_space, self._mask, np.random.default_rng(0))
        returned = self.env.step(action)
        self._mask = _mask_in(returned)
        return returned


def of_gymnasium(make: Callable[[], gymnasium.Env[Any, Any]], *, masked: bool) -> Iterator[Finding]:
    """What Gymnasium's `check_env` says. These are warnings: what ends a run is found by playing."""
    env = make().unwrapped
    said: list[str] = []
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            check_env(_Legal(env) if masked else env, skip_render_check=True)
        except Exception as raised:  # noqa: BLE001 - whatever a user's code raises
            said.append(in_words(raised))
    said += [str(each.message) for each in caught]
    plain = [" ".join(_COLOURS.sub("", text).removeprefix("WARN: ").split()) for text in said]
    told = [text for text in dict.fromkeys(plain) if not any(words in text for words in _NO_MATTER)]
    yield from (warning("gymnasium", f"check_env: {text}") for text in told)
    if not told:
        yield ok("gymnasium", "gymnasium.utils.env_checker.check_env finds nothing that matters")


def of_steps(name: str, make: Callable[[], gymnasium.Env[Any, Any]], seed: int) -> Iterator[Finding]:
    """What the environment itself returns: types and shapes of observations, rewards, flags and masks."""
    env = make()
    problems = dict.fromkeys(_problems(name, env, seed))
    try:
        env.close()
    except Exception as raised:  # noqa: BLE001 - whatever a user's code raises
        yield warning("close", f"close() raises {in_words(raised)}")
    yield from (error("steps", problem) for problem in problems)
    if not problems:
        yield ok("steps", "observations, rewards, ends and masks have the types and shapes that they should")


def _problems(name: str, env: gymnasium.Env[Any, Any], seed: int) -> Iterator[str]:
    rng, adapter = np.random.default_rng(seed), ActionAdapter(name, env.action_space)
    masked: bool | None = None
    mask: Any = None
    fresh = True
    for step in range(_STEPS):
        with game_code(name):
            if fresh:
                returned: Any = env.reset(seed=seed if step == 0 else None)
            else:
                returned = env.step(_action(adapter, env.action_space, mask, rng))
        call, length = ("reset", 2) if fresh else ("step", 5)
        if not isinstance(returned, tuple) or len(returned) != length or not isinstance(returned[-1], dict):
            yield f"{call}: {_in_words(returned)}, expected {length} values, the last of them a dict"
            return
        observation, *results, info = returned
        problem = observation_problem(env.observation_space, observation)
        if problem:
            yield f"{call}: {problem}"
        yield from _result_problems(*results)
        ended = any(map(bool, results[1:]))
        masked = MASK in info if masked is None else masked
        mask = _mask_in(returned)
        flags, options = _legal(mask), sum(adapter.actions.sizes)
        if flags is not None and options and len(flags) != options:
            yield f"{MASK}: {len(flags)} values in the info of {call}, expected {options}, one for each option"
            return
        if not ended:
            yield from _mask_problems(info, call, masked=masked)
        fresh = ended


def _in_words(returned: Any) -> str:  # noqa: ANN401 - whatever a user's code returns
    return f"{len(returned)} values" if isinstance(returned, tuple) else type(returned).__name__


def _result_problems(reward: Any = 0.0, terminated: Any = False, truncated: Any = False) -> Iterator[str]:  # noqa: ANN401
    if not isinstance(reward, float | int | np.floating | np.integer | np.bool_):
        yield f"reward: {type(reward).__name__}, expected a number"
    elif not np.isfinite(float(reward)):
        yield f"reward: {reward}, expected a finite number"
    for flag, value in (("terminated", terminated), ("truncated", truncated)):
        if not isinstance(value, bool | np.bool_):
            yield f"{flag}: {type(value).__name__}, expected bool"


def _mask_problems(info: dict[str, Any], call: str, *, masked: bool) -> Iterator[str]:
    mask = info.get(MASK)
    if (mask is not None) is not masked:
        yield f"{MASK}: {'missing from' if masked else 'in'} the info of {call}, expected one at every step or none"
    elif mask is not None and not any(np.any(each) for each in _choices(mask)):
        yield f"{MASK}: all zeros while the game goes on, expected at least one legal action"


def _choices(mask: Any) -> tuple[Any, ...]:  # noqa: ANN401 - as the environment gave it
    return mask if isinstance(mask, tuple) else (mask,)


def _mask_in(returned: Any) -> Any:  # noqa: ANN401 - whatever a user's code returns
    """The mask in the infos of a step or a reset, or in its observation; None if there is none."""
    if not isinstance(returned, tuple) or not returned:
        return None
    in_info, in_observation = (
        each.get(MASK) if isinstance(each, dict) else None for each in (returned[-1], returned[0])
    )
    return in_observation if in_info is None else in_info


def _legal(mask: Any) -> NDArray[Any] | None:  # noqa: ANN401 - as the environment gave it
    """The flags of all choices one after the other; None without a mask."""
    return None if mask is None else np.concatenate([np.ravel(each) for each in _choices(mask)])


def _action(adapter: ActionAdapter, space: spaces.Space[Any], mask: Any, rng: np.random.Generator) -> Any:  # noqa: ANN401
    """A random action as the policy gives it, legal where there is a mask."""
    sizes, legal = adapter.actions.sizes, _legal(mask)
    if not sizes:
        chosen = rng.standard_normal((1, adapter.actions.outputs), dtype=np.float32)
    else:
        drawn = rng.random(sum(sizes)) + (0 if legal is None else legal != 0)
        options = np.split(drawn, np.cumsum(sizes)[:-1])
        chosen = np.array([[each.argmax() for each in options]], np.int32)
    actions = chosen.reshape(1, *adapter.actions.shape)
    return next(iter(iterate(batch_space(space, 1), adapter.to_env(actions))))
