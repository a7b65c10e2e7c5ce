"""The automatic limit of staleness, from how many versions pass while games are played."""

from __future__ import annotations

import pytest
from support.runs import make_header

from broodmind.learner.metrics.versions_passed import LIMIT_LEAST, LIMIT_MOST, VersionsPassed

NOW = 1_700_000_000_000


def sent(version, at_ms):
    return make_header(version, 1, 10, 1, NOW + at_ms)


def passed(*headers, versions=200, every_ms=10):
    """After so many versions, one each 10 ms, and then entries."""
    found = VersionsPassed()
    for version in range(1, versions + 1):
        found.published(version, NOW + version * every_ms)
    found.arrive(headers)
    return found


def test_the_limit_is_the_least_where_nothing_is_known():
    assert VersionsPassed().limit == LIMIT_LEAST
    assert passed().limit == LIMIT_LEAST


@pytest.mark.parametrize(
    ("version", "at_ms", "limit"),
    [
        (50, 500, 4),  # none passed
        (50, 509, 4),
        (50, 510, 5),
        (50, 620, 4 + 12),
        (50, 10_000, LIMIT_MOST),
        (50, 499, 4),  # by a version that seems to be of the future: clocks are not exact
    ],
)
def test_it_is_by_so_many_versions_more_as_passed_until_the_game_was_sent(version, at_ms, limit):
    assert passed(sent(version, at_ms)).limit == limit


def test_long_games_have_room_where_most_are_short():
    games = [sent(50, 500)] * 90 + [sent(50, 800)] * 10
    assert passed(*games).limit == 4 + 30
    assert passed(*games[:90], *games[90:93]).limit == 4  # but not the rarest


def test_it_is_at_least_what_passed_during_the_median_game():
    games = [sent(50, 500 + 10 * number) for number in range(41)]
    assert passed(*games).limit >= 20


def test_what_was_sent_before_the_first_version_whose_time_is_known_says_nothing():
    assert passed(sent(1, -1000)).limit == LIMIT_LEAST


def test_only_the_last_entries_count():
    assert passed(*[sent(50, 800)] * 300, *[sent(50, 500)] * 256).limit == LIMIT_LEAST


def test_a_new_epochs_versions_are_counted_anew():
    found = passed()
    found.published(3, NOW + 5000)
    found.arrive([sent(2, 5001)])
    assert found.limit == 5
    found.arrive([sent(2, 4000)])  # before it began
    assert found.limit == 5
