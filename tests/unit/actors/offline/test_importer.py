"""What an archive segment gives to push: sound pieces together where they fit, and all that stands before a tear."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from support.runs import SPEC, make_header, trajectory

from broodmind.actors.offline.importer import ImportReport, trajectories_of
from broodmind.common.wire.archive_format import ArchivedEntry
from broodmind.common.wire.trajectory import encode_trajectory
from broodmind.learner.config import ArchiveConfig
from broodmind.learner.persistence.archive_writer import Archive

LONG = replace(SPEC, rollout=replace(SPEC.rollout, fragment_length=600))


def archived(number, played, *, rejected="", payload=None):
    header = make_header(3, 1, played.steps, played.episodes, 1000, imported=played.episodes.wins is None)
    whole = encode_trajectory(played, "a", LONG) if payload is None else payload
    return ArchivedEntry("a", (7, number), header, whole, rejected, "", "c0ffee", 4)


def segment(folder, *entries):
    archive = Archive(ArchiveConfig(folder), "run", LONG)
    archive.append(entries)
    archive.close()
    (path,) = folder.iterdir()
    return path


def given(path, spec=LONG):
    report = ImportReport()
    return list(trajectories_of([path], None, spec, report)), report


def of_length(length, seed=0, columns=2):
    return trajectory(seed, replace(SPEC, rollout=replace(SPEC.rollout, fragment_length=length)), columns)


def test_fragments_of_equal_length_are_pushed_together_and_others_separately(tmp_path):
    played = [of_length(length, seed) for seed, length in enumerate((4, 4, 7, 7, 4))]
    pushed, report = given(segment(tmp_path, *(archived(n, each) for n, each in enumerate(played))))
    assert [each.actions.shape for each in pushed] == [(4, 4), (7, 4), (4, 2)]
    np.testing.assert_array_equal(pushed[0].rewards, np.hstack([played[0].rewards, played[1].rewards]))
    assert (report.taken, report.rejected) == (1, {})


def test_an_entry_has_about_as_many_steps_as_an_update(tmp_path):
    pushed, _ = given(segment(tmp_path, *(archived(n, of_length(500, n)) for n in range(5))))
    assert [each.steps for each in pushed] == [3000, 2000]


def test_whole_games_are_pushed_one_by_one(tmp_path):
    spec = replace(LONG, rollout=replace(LONG.rollout, unroll="games"))
    archive = Archive(ArchiveConfig(tmp_path), "run", spec)
    archive.append([archived(n, of_length(9, n, columns=1)) for n in range(3)])
    archive.close()
    pushed, _ = given(next(iter(tmp_path.iterdir())), spec)
    assert [each.actions.shape for each in pushed] == [(9, 1)] * 3


def test_a_game_of_several_versions_is_given_without_them(tmp_path):
    """They are not of the run that it is imported into."""
    played = of_length(4)
    offsets = np.arange(played.valid.size, dtype=np.int32).reshape(played.valid.shape)
    entry = archived(1, replace(played, version_offsets=offsets))
    entry = replace(entry, header=replace(entry.header, versions=(3, 10)))
    (pushed,), report = given(segment(tmp_path, entry))
    assert (pushed.version_offsets, report.skipped) == (None, {})


def test_a_segment_of_another_dtype_is_refused_by_name(tmp_path):
    path = segment(tmp_path, archived(1, of_length(4)))
    pushed, report = given(path, replace(LONG, game=replace(LONG.game, observation_dtype="uint8")))
    assert (pushed, report.rejected) == ([], {str(path): "observation_dtype: float32, expected uint8"})


def test_invalid_archived_entries_are_skipped_and_counted(tmp_path):
    played = of_length(4)
    rejected = ["", "stale", "invalid", "duplicate", "non_finite", "too_old", "wrong_epoch", "off_run"]
    entries = [archived(n, played, rejected=why) for n, why in enumerate(rejected)]
    entries.append(archived(9, played, payload=b"accepted, and yet not what it was"))
    pushed, report = given(segment(tmp_path, *entries))
    assert sum(each.games for each in pushed) == 5
    assert report.skipped == {"invalid": 2, "duplicate": 1, "non_finite": 1}


def test_entries_before_the_damage_are_imported_and_the_file_is_reported(tmp_path):
    path = segment(tmp_path, *(archived(n, of_length(4, n)) for n in range(3)))
    path.write_bytes(path.read_bytes()[:-5])
    pushed, report = given(path)
    assert sum(each.games for each in pushed) == 2
    assert report.taken == 0
    assert "incomplete" in report.rejected[str(path)]
