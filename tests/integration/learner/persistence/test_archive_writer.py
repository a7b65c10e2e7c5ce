"""What a learner archives is what it consumed: no entry too many, none twice, and it trains again."""

from __future__ import annotations

import numpy as np
import pytest
from support.runs import broodmind, counters, last_json, running, stopped
from support.servers import PATIENCE_S, wait_until

from broodmind.common.server.keys import Keys
from broodmind.common.wire.archive_format import SUFFIX, read_segment
from broodmind.common.wire.entry_header import parse_entry
from broodmind.common.wire.trajectory import decode_trajectory
from broodmind.learner.ledger.counters import REJECTIONS


def archived_in(folder):
    return [entry for path in sorted(folder.glob(f"*{SUFFIX}")) for entry in read_segment(path)[1]]


@pytest.mark.parametrize("algo", ["vtrace", "reinforce"])
def test_an_archive_holds_what_was_consumed_and_trains_a_run_again(shared_server, redis, run, tmp_path, algo):
    keys, common, folder = Keys(run), ("--redis", shared_server.url, "--run", run), tmp_path / "archive"
    learning = ("--algo", algo, "--archive", str(folder), "--max-staleness", "2", "--batch-steps", "256")
    with (
        running("actors", *common, "--envs", "8"),
        running("actors", *common, "--envs", "8", "--policy-lag", "4"),
        running("learner", *common, *learning),
    ):
        wait_until(lambda: redis.call("EXISTS", keys.latest))
        redis.call("SET", keys.incarnation("vandal"), "7 x")
        redis.call("XADD", keys.trajectories("vandal"), "7-1", "nonsense", "1")
        wait_until(lambda: counters(redis, keys).get("stale", 0) > 3 and counters(redis, keys)["accepted"] > 20)
        wait_until(lambda: counters(redis, keys)["invalid"] == 1)
    head, archived = counters(redis, keys), archived_in(folder)
    for reason in REJECTIONS:
        assert sum(entry.rejected == reason for entry in archived) == head[reason]
    accepted = [entry for entry in archived if not entry.rejected]
    assert len(accepted) == head["accepted"]
    assert len({(entry.actor, entry.id) for entry in archived}) == len(archived)
    assert sum(entry.header.steps for entry in accepted) == head["steps"] + head["stale_steps"]
    versions = {fields[fields.index(b"commit") + 1] for _, fields in redis.call("XRANGE", keys.versions, "-", "+")}
    assert {entry.commit.encode() for entry in accepted} <= versions

    again = Keys(f"{run}-again")
    common = ("--redis", shared_server.url, "--run", again.run)
    with running("learner", *common, "--algo", algo, "--accept-imported"):
        process = broodmind("import", *common, "--json", str(folder))
        printed, shown = process.communicate(timeout=PATIENCE_S)
        assert process.returncode == 0, shown
        report = last_json(printed)
        wait_until(lambda: counters(redis, again)["imported"] == report["entries"])
    assert report["rejected"] == {}
    assert report["skipped"] == {"invalid": 1}
    sound = [entry.header for entry in archived if entry.rejected != "invalid"]
    assert report["steps"] == counters(redis, again)["steps"] == sum(header.steps for header in sound)
    assert report["games"] == counters(redis, again)["games"] == sum(header.games for header in sound)
    assert report["entries"] == len(sound) if algo == "reinforce" else 0 < report["entries"] < len(sound)


def test_an_archived_entry_that_is_imported_again_keeps_its_log_probabilities(shared_server, redis, run, tmp_path):
    keys, common, folder = Keys(run), ("--redis", shared_server.url, "--run", run), tmp_path / "archive"
    with running("actors", *common, "--envs", "4"), running("learner", *common, "--archive", str(folder)):
        wait_until(lambda: counters(redis, keys).get("accepted", 0) > 2)
    again = Keys(f"{run}-again")
    common = ("--redis", shared_server.url, "--run", again.run)
    with running("learner", *common, "--accept-imported", "--lease-ttl", "60") as learner:  # it is stopped for a while
        wait_until(lambda: redis.call("EXISTS", again.latest))
        with stopped(learner), running("import", *common, "--name", "back", str(folder)):
            wait_until(lambda: redis.call("XLEN", again.trajectories("back")))
            ((_, fields),) = redis.call("XRANGE", again.trajectories("back"), "-", "+", "COUNT", 1)
    first = archived_in(folder)[0]
    spec, _ = read_segment(next(iter(sorted(folder.iterdir()))))
    header, payload = parse_entry(fields)
    assert header.imported
    played, back = first.trajectory(spec), decode_trajectory(payload, header, "back", spec)
    for name in ("observations", "actions", "log_probs", "rewards", "terminated", "truncated", "valid"):
        np.testing.assert_array_equal(getattr(back, name)[:, :4], getattr(played, name))
    for name in ("returns", "lengths", "began_ms", "wins"):
        assert (getattr(back.episodes, name) or ())[: played.games] == (getattr(played.episodes, name) or ()), name
    assert np.ptp(played.log_probs) > 0


def test_the_archive_of_a_killed_learner_is_continued_by_its_successor(shared_server, redis, run, tmp_path):
    keys, common, folder = Keys(run), ("--redis", shared_server.url, "--run", run), tmp_path / "archive"
    learning = (*common, "--archive", str(folder), "--batch-steps", "256")
    with running("actors", *common, "--envs", "8"):
        for beyond in (20, 40):
            with running("learner", *learning) as learner:
                wait_until(lambda: counters(redis, keys).get("accepted", 0) > beyond)  # noqa: B023 - asked at once
                learner.kill()
            redis.call("DEL", keys.lease)  # as time does
        with running("learner", *learning):
            wait_until(lambda: counters(redis, keys)["accepted"] > 60)
    head, archived = counters(redis, keys), archived_in(folder)
    assert not list(folder.glob("*.part"))
    assert len(list(folder.iterdir())) == 3
    ids = [(entry.actor, entry.id) for entry in archived if not entry.rejected]
    assert len(set(ids)) == len(ids)
    # Two kills, and so at most the entries of two commits are in the truth and not in the copy.
    commits = {entry.commit for entry in archived if not entry.rejected}
    assert head["updates"] - 2 <= len(commits) <= head["updates"]
    versions = {fields[fields.index(b"commit") + 1] for _, fields in redis.call("XRANGE", keys.versions, "-", "+")}
    assert {commit.encode() for commit in commits} <= versions


def test_a_segment_of_another_run_is_refused_by_the_field(shared_server, redis, run, tmp_path):
    common, folder = ("--redis", shared_server.url, "--run", run), tmp_path / "archive"
    with running("actors", *common, "--envs", "4"), running("learner", *common, "--archive", str(folder)):
        wait_until(lambda: counters(redis, Keys(run)).get("accepted", 0) > 0)
    for number, (options, expected) in enumerate(
        {
            ("--game", "ZergMacro", "--fragment-length", "8"): "rollout: steps of up to 32, expected steps of up to 8",
            ("--algo", "reinforce"): "rollout: steps of up to 32, expected games",
            ("--game", "CartPole-v1"): "observation_shape: (15,), expected (4,)",
        }.items()
    ):
        other = ("--redis", shared_server.url, "--run", f"{run}-{number}")
        with running("learner", *other, "--accept-imported", *options):
            printed, _ = broodmind("import", *other, "--json", str(folder)).communicate(timeout=PATIENCE_S)
        (why,) = last_json(printed)["rejected"].values()
        assert why.startswith(expected)
