"""Who is admitted next, and how many names are kept."""

from __future__ import annotations

import pytest

from broodmind.learner.roster.candidates import QUEUED_MAX, Candidates, prefix_of


@pytest.mark.parametrize(
    ("name", "prefix"),
    [
        ("box1-000", "box"),
        ("host-4242-003", "host"),
        ("aaa000123", "aaa"),
        ("bot", "bot"),
        ("7", "7"),
        ("a.b_2", "a.b"),
    ],
)
def test_the_numbers_at_its_end_are_no_part_of_a_prefix(name, prefix):
    assert prefix_of(name) == prefix


def test_each_prefix_has_its_turn():
    candidates = Candidates()
    for number in range(1000):
        candidates.add(f"evil-{number:03}")
    candidates.add("good-000")
    candidates.add("good-000")
    assert candidates.take(3) == ["evil-000", "good-000", "evil-001"]
    assert len(candidates) == 998
    assert "evil-002" in candidates
    assert "good-000" not in candidates


def test_no_more_names_are_kept_than_a_bound_and_the_many_make_room_for_the_few():
    candidates = Candidates()
    for letter in "abcdefghijkl":
        for number in range(QUEUED_MAX):
            candidates.add(f"{letter}{number}")
    assert len(candidates) == QUEUED_MAX
    candidates.add("good-000")
    assert len(candidates) == QUEUED_MAX
    assert "good-000" in candidates
    candidates.clear()
    assert candidates.take(5) == []


def test_where_each_has_a_prefix_of_its_own_the_last_ones_are_left_out():
    candidates = Candidates()
    letters = "abcdefghijklmnopqrstuvwxyz"
    names = [a + b + c for a in letters for b in letters for c in letters]
    for name in names:
        candidates.add(name)
    assert candidates.take(QUEUED_MAX + 1) == names[:QUEUED_MAX]
