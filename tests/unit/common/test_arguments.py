"""The checks of arguments one by one; tests/unit/test_public_arguments.py has every public function's."""

from __future__ import annotations

import math
from fractions import Fraction
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from broodmind.common import arguments
from broodmind.common.errors import ConfigError

GOOD = [
    (partial(arguments.whole_number, least=0), np.int64(0), 0),
    (arguments.whole_number, -5, -5),
    (arguments.finite_number, np.float32(0.5), 0.5),
    (arguments.finite_number, 10**30, 10**30),
    (arguments.finite_number, Fraction(1, 2), 0.5),
    (arguments.seconds, -3, 0.0),
    (arguments.seconds, np.float64(1.5), 1.5),
    (arguments.flag, np.True_, True),
    (arguments.text, "x", "x"),
    (arguments.path, "a/b", Path("a/b")),
    (arguments.path, Path("a"), Path("a")),
    (partial(arguments.whole_numbers, least=1), range(1, 3), (1, 2)),
    (arguments.finite_numbers, np.array([1.0, 2.5]), (1.0, 2.5)),
    (partial(arguments.choice, choices=("a", "b")), "b", "b"),
    (partial(arguments.instance, kind=dict), {}, {}),
    (arguments.function, len, len),
]
BAD = [
    (partial(arguments.whole_number, least=1), 0, "x: 0, expected a whole number of at least 1"),
    (arguments.whole_number, np.True_, "expected a whole number"),
    (arguments.finite_number, 10**400, "expected a finite number"),
    (arguments.finite_number, np.float32("nan"), "expected a finite number"),
    (arguments.finite_number, 1j, "x: 1j, expected a finite number"),
    (arguments.seconds, math.nan, "x: nan, expected a number of seconds"),
    (arguments.flag, 1, "x: 1, expected True or False"),
    (arguments.text, "", "x: '', expected a text that is not empty"),
    (arguments.path, "", "x: '', expected a path"),
    (partial(arguments.whole_numbers, least=2), [2, 1], r"x: \[2, 1\], expected whole numbers of at least 2, such as"),
    (arguments.finite_numbers, {1.0}, r"x: \{1.0\}, expected finite numbers"),
    (partial(arguments.choice, choices=("a", "b")), "c", "x: 'c', expected one of a, b"),
    (partial(arguments.instance, kind=dict), 5, "x: 5, expected a dict"),
    (arguments.function, 5, "x: 5, expected a function"),
]


@pytest.mark.parametrize(("check", "value", "expected"), GOOD, ids=range(len(GOOD)))
def test_what_can_be_used_is_returned_as_python_has_it(check, value, expected):
    found = check("x", value)
    assert found == expected
    assert type(found) is type(expected)


@pytest.mark.parametrize(("check", "value", "message"), BAD, ids=range(len(BAD)))
def test_what_cannot_be_used_is_refused_with_what_is_allowed(check, value, message):
    with pytest.raises(ConfigError, match=message):
        check("x", value)


def test_none_is_checked_only_where_it_is_not_allowed():
    assert arguments.optional(arguments.text, "x", None) is None
    with pytest.raises(ConfigError, match="x: None, expected a text"):
        arguments.text("x", None)


def test_a_wait_without_end_is_one_that_a_lock_can_wait():
    import threading

    assert 0 < arguments.seconds("x", math.inf) <= threading.TIMEOUT_MAX
    assert arguments.seconds("x", 10**400) == arguments.seconds("x", math.inf)


def test_a_large_value_is_shown_in_part():
    with pytest.raises(ConfigError) as caught:
        arguments.text("x", list(range(10000)))
    assert len(str(caught.value)) < 200
