"""What the learner knows of one actor."""

from __future__ import annotations

from dataclasses import replace

import pytest
from support.runs import make_header

from broodmind.learner.flow.actor_flow import BATCHES, ActorFlow

STEPS, GAMES = 0, 1


def entry(steps, created_ms=1):
    return make_header(1, 1, steps, 0, created_ms)


def rate(actor, batch):
    return actor.contribution(STEPS, batch).per_batch


def test_what_arrives_is_unconsumed_until_a_commit_consumes_it():
    actor = ActorFlow(0.0, 0)
    for steps in (10, 20, 30):
        actor.arrive(entry(steps), 1.0, 0)
    assert actor.unconsumed[STEPS] == 60
    assert actor.consume(2, 0)[STEPS] == 30
    assert actor.unconsumed[STEPS] == 30


def test_what_is_of_no_use_limits_the_actor_and_is_not_unconsumed():
    actor = ActorFlow(0.0, 0)
    actor.arrive(entry(10), 1.0, 0)
    actor.arrive(entry(30), 1.0, 0, useful=False)
    assert (actor.unconsumed[STEPS], actor.useless[STEPS]) == (10, 30)
    assert [actor.limited_by(STEPS, level) for level in (49, 50)] == [True, False]  # it adds 10 at once
    assert actor.consume(2, 0)[STEPS] == 10
    assert (actor.unconsumed[STEPS], actor.useless[STEPS]) == (0, 0)


def test_an_actor_has_no_rate_before_a_batch_had_a_part_of_it():
    actor = ActorFlow(0.0, 0)
    actor.arrive(entry(10), 1.0, 4)
    assert rate(actor, 4) is None
    actor.consume(1, None)  # it was rejected, without a batch
    assert rate(actor, 5) is None


def test_its_rate_is_its_mean_part_of_the_last_batches_those_without_it_included():
    actor = ActorFlow(0.0, 0)
    for batch, steps in ((4, 30), (5, 60)):
        actor.arrive(entry(steps), 1.0, batch)
        actor.consume(1, batch)
    assert rate(actor, 6) == 45  # over the two since it began
    assert rate(actor, 7) == 30
    assert rate(actor, 8) == pytest.approx(60 / BATCHES)
    assert rate(actor, 9) == 0


def test_an_actor_that_begins_again_is_as_a_new_one():
    actor = ActorFlow(0.0, 0)
    actor.arrive(entry(30), 1.0, 0)
    actor.consume(1, 0)
    actor.arrive(entry(30), 2.0, 1 + BATCHES)
    assert rate(actor, 1 + BATCHES) is None


def test_games_that_evaluate_a_version_say_nothing_of_what_it_delivers():
    actor = ActorFlow(0.0, 0)
    actor.arrive(entry(10), 1.0, 0)
    before = (actor.push, actor.unconsumed, actor.idle, actor.heard_s)
    actor.arrive(replace(entry(500), evaluation=True), 2.0, 0)
    assert (actor.push, actor.unconsumed, actor.idle, actor.heard_s) == before
    assert actor.consume(2, 0)[STEPS] == 10


def test_the_parts_of_one_fragment_are_one_push():
    actor = ActorFlow(0.0, 0)
    actor.arrive(entry(10, created_ms=1), 1.0, 0)
    actor.arrive(entry(10, created_ms=1), 1.0, 0)
    assert actor.push[STEPS] == 20
    actor.arrive(entry(10, created_ms=2), 1.0, 0)
    assert actor.push[STEPS] == 10


def test_it_is_limited_where_another_push_would_exceed_its_share():
    actor = ActorFlow(0.0, 0)
    actor.arrive(entry(10), 1.0, 0)
    assert actor.limited_by(STEPS, 19)
    assert not actor.limited_by(STEPS, 20)


def test_an_entry_of_no_use_is_counted_and_makes_the_actor_an_idle_one():
    actor = ActorFlow(0.0, 0)
    assert actor.arrive(None, 3.0, 2) == (0, 0)
    assert (actor.heard_s, actor.unconsumed, actor.push, actor.idle) == (0.0, (0, 0), (0, 0), True)
    actor.arrive(make_header(1, 1, 10, 1, 5), 4.0, 2)
    assert (actor.heard_s, actor.unconsumed, actor.idle) == (4.0, (11, 1), False)
    assert actor.consume(2, 2) == (11, 1)
