"""What a learner remembers of actors that have departed."""

from __future__ import annotations

from broodmind.learner.run_state import _DEPARTED_KEPT, _remembered


def test_cursors_of_the_departed_are_kept_up_to_a_bound_and_the_oldest_go_first():
    cursors = {f"actor{age}": (10**12 - age, 5) for age in range(_DEPARTED_KEPT + 10)}
    reading = {"actor0", f"actor{_DEPARTED_KEPT + 9}"}
    left = _remembered(cursors, reading)
    assert left.keys() == cursors.keys() - {f"actor{_DEPARTED_KEPT + age}" for age in range(1, 9)}
    assert all(left[actor] == cursors[actor] for actor in left)


def test_as_long_as_there_are_few_nothing_is_forgotten():
    cursors = {"a": (7, 1), "b": (8, 2)}
    assert _remembered(cursors, set()) == cursors
