"""Every argument of every public function: what cannot be used is refused by its name, with what is allowed."""

from __future__ import annotations

import inspect
import math
import re
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from gymnasium import spaces

import broodmind
from broodmind import Box, ConfigError, Discrete, GameSpec, Limits, MultiDiscrete
from broodmind.actors.client.agent import Agent
from broodmind.actors.client.episode import Episode, ErrorPolicy
from broodmind.actors.inference.policy import Policy as ActorPolicy
from broodmind.actors.transport.delivery import Delivery
from broodmind.actors.transport.stream_connection import ActorConnection
from broodmind.common.policy.network import initial_params
from broodmind.common.setting import settings_of
from broodmind.common.spec import NetworkSpec, RunSpec
from broodmind.common.wire.weights import Pointer
from broodmind.deploy.policies.policy import Policy
from broodmind.deploy.training.train import given_of
from broodmind.learner.config import Goal

if TYPE_CHECKING:
    from collections.abc import Callable

SPEC = RunSpec(GameSpec("toy", (2,), Discrete(3), masked=True), NetworkSpec((4,)))
PARAMS = initial_params(SPEC.network, SPEC.game, np.random.default_rng(0))
NAN, ANYTHING = math.nan, object()

TEXTS = [5, b"x", ["x"]]
PATHS = [5, "", b"x", ["x"], "a\0b"]
WHOLE = ["x", 2.5, NAN, True, np.float64(3.0), [3], -1]
FLAGS = ["yes", 1, 0.0, None, "", [True], np.array([True, False])]
FUNCTIONS = [3, "x", [len]]
SECONDS = ["x", None, NAN, True, [1]]


def policy():
    return Policy(PARAMS, SPEC)


def agent():
    """One that was not started."""
    delivery = Delivery(Limits(), None)
    connection = ActorConnection("redis://127.0.0.1:1", "r", "a", delivery, None)
    return Agent(connection, delivery, None, None, None, None, 1)


def episode():
    rng, playing = np.random.default_rng(0), ActorPolicy(Pointer(1, 1, "c", "d", 1), PARAMS, SPEC)
    return Episode("a-1", {}, playing, lambda *_: 0, rng, ErrorPolicy(), lambda *_: None)


def connect(**given):
    """Refused before anything is started."""
    with broodmind.connect(**{"url": "redis://127.0.0.1:1", **given}) as made:
        made.close(0)


# By function: a call with good arguments, and for each parameter what it does not take.
CALLS: dict[str, tuple[Callable[..., object], dict[str, list[Any]]]] = {
    "Discrete": (lambda **given: Discrete(**{"n": 3, **given}), {"n": [*WHOLE, None, 1, 0]}),
    "MultiDiscrete": (
        lambda **given: MultiDiscrete(**{"sizes": (3, 2), **given}),
        {"sizes": [None, 3, "33", b"33", (), (1,), (2.5,), ("3",), (NAN,), (True, 2), {3, 4}, np.zeros((2, 2), int)]},
    ),
    "Box": (
        lambda **given: Box(**{"low": (-1.0,), "high": (1.0,), **given}),
        {
            "low": [None, -1.0, "0", (), ("0",), (NAN,), (-math.inf,), (True,), {0.0}, (10**400,)],
            "high": [None, 1.0, "2", (), ("2",), (NAN,), (math.inf,), (None,), np.array(2.0)],
        },
    ),
    "GameSpec": (
        lambda **given: GameSpec(**{"name": "g", "observation_shape": (4,), "actions": Discrete(2), **given}),
        {
            "name": [*TEXTS, None, ""],
            "observation_shape": [None, 2, "ab", "", (), ("a",), (0,), (-1,), (2.5,), (NAN,), (True,), {4}],
            "actions": [None, 3, "x", (3,), Discrete],
            "masked": FLAGS,
            "wins": FLAGS,
            "observation_dtype": [None, 8, "", "float64", np.uint8, np.dtype("uint8"), ["uint8"]],
            "observation_parts": [None, 5, "x", ("x",), [1]],
        },
    ),
    "Limits": (Limits, {name: [*WHOLE, None, 0] for name in ("queue_games", "queue_bytes", "spool_bytes")}),
    "connect": (
        connect,
        {
            "url": [5, "", b"redis://x", ["x"]],
            "run": [*TEXTS, None, "", "a b", NAN],
            "name": [*TEXTS, "", "a b", NAN],
            "game": [5, "x", {"name": "x"}, GameSpec],
            "actions": ["x", 2.5, NAN, True, [3], np.float64(3)],
            "fallback": FUNCTIONS,
            "records": PATHS,
            "journal": PATHS,
            "spool_dir": PATHS,
            "limits": [5, "x", {"queue_games": 3}, Limits],
            "seed": WHOLE,
            "update_policy": [None, 5, "", "game", ["step"], np.array(["step", "episode"])],
            "greedy": FLAGS,
            "learn": FLAGS,
            "version": ["newest", "", 0, -1, 2.5, NAN, True, ["best"], np.array([1, 2])],
            "restarts": FLAGS,
        },
    ),
    "load": (
        lambda **given: broodmind.load(**{"path": "runs/none", **given}),
        {"path": [*PATHS, None, NAN], "version": ["", 2.5, NAN, True, ["best"], {}]},
    ),
    "train": (
        lambda **given: broodmind.train(**{"game": "TinyZerg", **given}),
        {
            "game": [None, 5, "", NAN, ["TinyZerg"]],
            "config": [5, "x", [("seed", 1)], NAN, {5: 1}, {"": 1}],
            "callback": FUNCTIONS,
            "out": PATHS,
        },
    ),
    "Policy.act": (
        lambda **given: policy().act(**{"observation": [0.0, 0.0], "mask": [1, 1, 0], **given}),
        {
            "observation": [None, "x", 5, [NAN, 0.0], [[1.0], [1.0, 2.0]], ANYTHING, {}, ["a", "b"], []],
            "greedy": FLAGS,
            "mask": [None, "x", 5, [[1], [1, 2, 3]], ["a", "b", "c"], [0, 0, 0], [ANYTHING] * 3, {}],
            "rng": [5, "x", 0.5, np.random.RandomState(1), np.random],
            "space": [5, "x", Discrete(3), spaces.Discrete, spaces.Discrete(4), spaces.Box(-np.inf, np.inf, (2,))],
        },
    ),
    "Policy.value": (
        lambda **given: Policy({**PARAMS, "value/b9": np.ones(1)}, SPEC).value(**given),
        {"observation": [None, "x", 5, [NAN, 0.0], [[1.0], [1.0, 2.0]], ANYTHING, {}]},
    ),
    "Agent.begin": (
        lambda **given: agent().begin(**{"labels": {}, **given}),
        {"labels": [None, 5, "x", ["map"], {5: "x"}], "fallback": FUNCTIONS, "error_policy": []},
    ),
    "Agent.wait_until_ready": (lambda **given: agent().wait_until_ready(**given), {"timeout_s": SECONDS}),
    "Agent.flush": (lambda **given: agent().flush(**given), {"timeout_s": SECONDS}),
    "Agent.close": (lambda **given: agent().close(**given), {"timeout_s": SECONDS}),
    "Episode.act": (
        lambda **given: episode().act(**{"observation": [0.0, 0.0], **given}),
        {
            "observation": [None, "x", 5, [[1.0], [1.0, 2.0]], ANYTHING, {}],
            "mask": ["x", 5, [[1], [1, 2, 3]], {}],
        },
    ),
    "Episode.reward": (
        lambda **given: episode().reward(**given),
        {"amount": ["x", None, [1.0, 2.0], {}, 10**400, ANYTHING]},
    ),
    "Episode.log": (
        lambda **given: episode().log(**{"name": "supply", "value": 1.0, **given}),
        {"name": [None, 5, "", "a b", ["x"], NAN], "value": ["x", None, NAN, math.inf, [1.0, 2.0], 10**400]},
    ),
    "Episode.end": (
        lambda **given: ended(episode(), **given),
        {
            "outcome": [None, 5, "", "won", "aborted", ["win"], np.array(["win", "loss"])],
            "reward": ["x", None, [1.0, 2.0], 10**400],
            "observation": ["x", 5, [[1.0], [1.0, 2.0]], ANYTHING],
        },
    ),
}
CASES = [
    (name, argument, value) for name, (_, bad) in CALLS.items() for argument, each in bad.items() for value in each
]
# Of these the message is about what was made of them.
OTHER_WORDS = {"n": "n of Discrete|actions", "name": "name|metric", "amount": "reward", "value": "metric"}


def not_to_be_called(*_, **_more):
    raise AssertionError("a run was started")


def ended(playing, **given):
    playing.act([0.0, 0.0])
    playing.end(**{"outcome": "win", **given})


@pytest.mark.parametrize(
    ("function", "argument", "value"),
    CASES,
    ids=[f"{name}-{argument}-{number}" for number, (name, argument, _) in enumerate(CASES)],
)
def test_an_argument_that_cannot_be_used_is_refused_by_its_name(function, argument, value, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("broodmind.deploy.training.train.run_locally", not_to_be_called)
    with pytest.raises(ConfigError) as caught:
        CALLS[function][0](**{argument: value})
    message = str(caught.value)
    assert re.search(rf"^{OTHER_WORDS.get(argument, argument)}\b", message), message
    assert re.search(r"expected .", message), message
    assert len(message) < 600, message
    assert not list(tmp_path.iterdir()), "something was made"


def function_of(name):
    found = broodmind
    for part in name.split("."):
        found = getattr(found, part)
    return found


@pytest.mark.parametrize("name", CALLS)
def test_every_parameter_is_in_the_table(name):
    taken = {each for each in inspect.signature(function_of(name)).parameters if each != "self"}
    assert taken == set(CALLS[name][1])


def test_numbers_of_numpy_are_numbers():
    """And become those of Python, which alone have a form in JSON."""
    for made, expected in [
        (Discrete(np.int64(3)), Discrete(3)),
        (MultiDiscrete(np.array([3, 2])), MultiDiscrete((3, 2))),
        (MultiDiscrete([np.uint8(3), 2]), MultiDiscrete((3, 2))),
        (Box(np.array([-1.0, 0.5], np.float32), [np.float64(1.0), 2]), Box((-1.0, 0.5), (1.0, 2))),
        (Limits(queue_games=np.int32(5)), Limits(queue_games=5)),
    ]:
        assert made == expected
        assert repr(made) == repr(expected)
    shape = (np.int64(4), np.uint8(2))
    game = GameSpec("g", shape, Discrete(np.int16(2)), masked=np.True_, wins=np.False_)
    assert RunSpec.from_json(RunSpec(game).to_json()).game == game
    assert repr(game) == repr(GameSpec("g", (4, 2), Discrete(2), masked=True, wins=False))
    assert GameSpec("g", [4, 2], Discrete(2)) == GameSpec("g", (4, 2), Discrete(2))


def test_settings_in_numbers_of_numpy_are_settings():
    given = given_of(
        {
            "max_steps": np.int64(1000),
            "gamma": np.float32(0.5),
            "hidden": (np.int32(8),),
            "lock_step": np.True_,
            "game_args": {"size": np.int64(3), "scale": np.float32(0.5), "of": [np.uint8(1)], "on": np.True_},
        }
    )
    assert repr(given.values["game_args"]) == "{'size': 3, 'scale': 0.5, 'of': [1], 'on': True}"
    assert [repr(given.values[name]) for name in ("max_steps", "gamma", "hidden", "lock_step")] == [
        *("1000", "0.5", "(8,)", "True")
    ]
    with pytest.raises(ConfigError, match="max_steps: "):
        settings_of(Goal)["max_steps"].convert(np.float64(10.0))


def test_a_policy_takes_flags_and_generators_of_numpy():
    made = policy()
    assert made.act([0.0, 0.0], np.False_, mask=[1, 0, 0], rng=np.random.default_rng(1)) == 0
    assert made.act(np.zeros(2), np.True_, mask=np.array([False, False, True])) == 2


def test_an_agent_may_wait_for_a_time_that_has_passed_or_never_comes():
    made = agent()
    assert not made.wait_until_ready(np.float64(-1.0))
    made.start()
    assert made.flush(math.inf)
    made.close(np.int64(0))


def test_labels_may_be_numbers_of_numpy_and_what_cannot_be_copied():
    import threading

    made = agent()
    made.start()
    with made.episode(map=np.int64(3), of=threading.Lock()) as playing:
        playing.end("win")
    assert '"map": "3"' in playing.record.to_json()
    made.close(0)
