"""Which entries may be trained on, by their headers."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from support.runs import make_header, trajectory

from broodmind.learner.config import IntakeConfig
from broodmind.learner.ingest.admission import fresh_steps, oldest_version, rejection
from broodmind.learner.ledger.head import Head, Standing

NOW = 1_700_000_000_000
HEAD = Head(epoch=3, version=20, commit="c20")
STANDING = Standing(HEAD)
LINEAGE = {19: "c19", 20: "c20"}
CONFIG = IntakeConfig(batch_steps=10, batch_games=0, max_staleness=4, max_age=60.0)


def header(version=20, epoch=3, created_ms=NOW):
    return make_header(version, epoch, steps=4, games=1, created_ms=created_ms)


@pytest.mark.parametrize(
    ("version", "expected"),
    [(20, None), (19, None), (17, None), (16, None), (15, "stale"), (14, "stale"), (0, "stale")],
)
def test_an_entry_may_be_as_stale_as_the_limit_and_no_staler(version, expected):
    assert rejection(header(version), STANDING, NOW, CONFIG) == expected


@pytest.mark.parametrize(("version", "expected"), [(20, None), (18, None), (17, "stale")])
def test_play_of_before_the_run_went_back_to_an_earlier_state_is_stale(version, expected):
    standing = dataclasses.replace(STANDING, oldest_version=18)
    assert rejection(header(version), standing, NOW, CONFIG) == expected
    assert oldest_version(standing, CONFIG) == 18
    assert oldest_version(dataclasses.replace(STANDING, oldest_version=2), CONFIG) == 16


@pytest.mark.parametrize(("version", "expected"), [(20, None), (19, "stale")])
def test_a_staleness_limit_of_zero_accepts_only_the_current_version(version, expected):
    assert rejection(header(version), STANDING, NOW, dataclasses.replace(CONFIG, max_staleness=0)) == expected


@pytest.mark.parametrize(
    ("age_ms", "expected"), [(0, None), (-5000, None), (59_999, None), (60_000, None), (60_001, "too_old")]
)
def test_an_entry_may_be_as_old_as_the_limit_and_no_older(age_ms, expected):
    assert rejection(header(created_ms=NOW - age_ms), STANDING, NOW, CONFIG) == expected


@pytest.mark.parametrize("epoch", [0, 2, 4])
def test_an_entry_of_another_epoch_is_rejected(epoch):
    assert rejection(header(epoch=epoch), STANDING, NOW, CONFIG) == "wrong_epoch"


def test_a_version_that_was_never_published_belongs_to_a_lost_lineage():
    assert rejection(header(version=21), STANDING, NOW, CONFIG) == "wrong_epoch"


@pytest.mark.parametrize(
    ("version", "commit", "expected"),
    [(19, "c19", None), (19, "lost", "wrong_epoch"), (20, "c19", "wrong_epoch"), (19, "", None), (17, "lost", None)],
)
def test_a_version_with_another_commit_id_belongs_to_a_lost_lineage(version, commit, expected):
    """After a loss the same number may have been given twice; of versions older than is remembered nothing is known."""
    one = dataclasses.replace(header(version=version), commits=(commit, commit))
    assert rejection(one, Standing(HEAD, LINEAGE), NOW, CONFIG) == expected


@pytest.mark.parametrize(
    ("versions", "commits", "expected"),
    [
        ((19, 20), ("c19", "c20"), None),
        ((17, 20), ("lost", "c20"), None),  # nothing is known of version 17
        ((19, 20), ("lost", "c20"), "wrong_epoch"),
        ((19, 20), ("c19", "lost"), "wrong_epoch"),
        ((19, 20), ("", ""), None),
        ((19, 21), ("c19", "c21"), "wrong_epoch"),  # never published
        ((15, 20), ("", "c20"), None),  # its last steps are fresh
        ((14, 15), ("", ""), "stale"),
        ((14, 16), ("", ""), None),
    ],
)
def test_of_a_game_of_several_versions_both_ends_are_looked_at(versions, commits, expected):
    one = dataclasses.replace(header(), versions=versions, commits=commits)
    assert rejection(one, Standing(HEAD, LINEAGE), NOW, CONFIG) == expected


def test_the_lineage_is_checked_before_staleness_and_staleness_before_age():
    old = NOW - 10_000_000
    assert rejection(header(version=1, epoch=2, created_ms=old), STANDING, NOW, CONFIG) == "wrong_epoch"
    assert rejection(header(version=1, created_ms=old), STANDING, NOW, CONFIG) == "stale"


@pytest.mark.parametrize(("automatic", "version", "expected"), [(4, 16, None), (4, 15, "stale"), (9, 11, None)])
def test_where_the_user_sets_no_limit_the_automatic_one_holds(automatic, version, expected):
    config = dataclasses.replace(CONFIG, max_staleness=None)
    assert rejection(header(version), Standing(HEAD, {}, automatic), NOW, config) == expected
    assert rejection(header(15), Standing(HEAD, {}, automatic), NOW, CONFIG) == "stale"  # the user's own stays


def played_by(*versions):
    """Four steps, and the version of each."""
    lowest = min(versions)
    offsets = np.array(versions, np.int32)[:, None] - lowest
    entry_header = dataclasses.replace(header(), versions=(lowest, max(versions)), commits=("", ""))
    return entry_header, dataclasses.replace(trajectory(columns=1), version_offsets=offsets if offsets.any() else None)


@pytest.mark.parametrize(
    ("versions", "fresh"),
    [
        ((20, 20, 20, 20), None),
        ((16, 17, 18, 20), None),
        ((14, 15, 16, 20), [False, False, True, True]),
        ((20, 15, 20, 15), [True, False, True, False]),
    ],
)
def test_each_step_is_judged_by_the_version_that_played_it(versions, fresh):
    entry_header, played = played_by(*versions)
    found = fresh_steps(entry_header, played, 16)
    assert (None if found is None else found[:, 0].tolist()) == fresh


def test_imported_steps_have_no_version_to_be_judged_by():
    entry_header, played = played_by(1, 2, 3, 4)
    assert fresh_steps(dataclasses.replace(entry_header, imported=True), played, 16) is None
