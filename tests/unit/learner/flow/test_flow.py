"""What the demand does to actors of all kinds: full batches on their way, fresh play, nobody held up by the idle."""

from __future__ import annotations

import pytest
from support.fake_clock import FakeClock
from support.flow_simulation import Simulation
from support.runs import make_header

from broodmind.learner.config import IntakeConfig
from broodmind.learner.flow.flow import Flow

BATCH = 2048
SLOW, QUICK = 0.5, 0.05  # seconds an update takes


@pytest.mark.parametrize(
    ("actors", "update_s", "share", "stalest"),
    [
        ([(96, 20_000)], SLOW, 0.85, 2),
        ([(96, 20_000)], QUICK, 0.8, 3),
        ([(1, 2000)], QUICK, 0.9, 1),
        ([(1, 20_000)], SLOW, 0.95, 1),
        ([(48, 10_000)] * 2, SLOW, 0.9, 2),
        ([(16, 6000)] * 6, SLOW, 0.9, 2),
        ([(16, 2000)] * 6, QUICK, 0.85, 3),
        ([(16, 500 * 2**at) for at in range(6)], 0.2, 0.85, 6),
        ([(2, 500)] * 48, SLOW, 0.9, 2),
        ([(2, 100)] * 48, QUICK, 0.85, 3),
        ([(2, 20 * (at + 1)) for at in range(48)], 0.2, 0.9, 4),
        ([(2, 20 * (at + 1)) for at in range(200)], 0.2, 0.9, 4),
        ([(16, 2000)] * 200, 0.2, 0.75, 6),  # a turn for one in thirty
        ([(16, 512)] * 200, 1.0, 0.8, 4),
    ],
)
def test_the_learner_is_kept_busy_and_what_it_trains_on_is_fresh(actors, update_s, share, stalest):
    simulation = Simulation(actors, update_s).run(10)
    simulation.begin_to_count()
    simulation.run(25)
    assert simulation.steps_per_second >= share * simulation.most_per_second
    assert simulation.staleness_at(0.95) <= stalest
    assert max(simulation.batches) <= BATCH * 9 / 8


def test_equal_actors_have_equal_parts():
    simulation = Simulation([(16, 6000)] * 6, SLOW).run(60)
    parts = [actor.consumed for actor in simulation.actors]
    assert min(parts) >= 0.7 * max(parts)


def test_a_slow_actor_does_not_wait_for_faster_ones():
    simulation = Simulation([(1, 300), *[(1, 20_000)] * 5], 0.2).run(10)
    simulation.begin_to_count()
    simulation.run(30)
    assert simulation.actors[0].consumed >= 0.9 * 300 * 30


def test_when_five_of_six_vanish_the_sixth_has_all_the_credit_within_a_second():
    simulation = Simulation([(16, 6000)] * 6, 0.2).run(20)
    for actor in simulation.actors[1:]:
        actor.state = "gone"
    simulation.run(1.5)  # half a second of which the learner still trains on what they left
    assert simulation.flow.demand.steps >= BATCH
    simulation.begin_to_count()
    simulation.run(20)
    assert simulation.steps_per_second >= 0.9 * 6000


@pytest.mark.parametrize("idle", [1, 5, 50])
def test_the_idle_do_not_hold_up_those_who_play(idle):
    simulation = Simulation([(16, 6000)], 0.2, idle=idle).run(10)
    assert simulation.batches
    simulation.begin_to_count()
    simulation.run(20)
    assert simulation.steps_per_second >= 0.9 * 6000
    assert simulation.staleness_at(0.95) <= 2


def test_actors_that_come_back_all_at_once_do_not_flood_the_learner():
    simulation = Simulation([(2, 5000)] * 48, SLOW).run(20)
    for actor in simulation.actors[1:]:
        actor.state = "gone"
    simulation.run(20)
    simulation.return_to_play()
    simulation.run(20)
    assert simulation.outstanding <= 3 * BATCH
    assert simulation.staleness_at(0.95) <= 5


def flow(**intake):
    clock = FakeClock()
    return Flow(IntakeConfig(**{"batch_steps": BATCH, **intake}), clock), clock


def test_the_first_demand_is_two_batches_for_one_actor_and_shared_among_more():
    one, _ = flow()
    one.follow(["a"])
    assert one.revise(starving=True).steps == 2 * BATCH
    four, _ = flow()
    four.follow(["a", "b", "c", "d"])
    assert four.revise(starving=True).steps == BATCH / 2
    assert four.revise(starving=True) is None


def test_games_are_demanded_where_the_batch_is_of_games():
    made, _ = flow(batch_steps=0, batch_games=16)
    made.follow(["a", "b"])
    demand = made.revise(starving=False)
    assert (demand.steps, demand.games, demand.batch_steps, demand.batch_games) == (0, 16, 0, 16)


def test_the_memory_is_shared_equally():
    made, _ = flow(max_unconsumed_mb=8)
    made.follow(["a", "b", "c", "d"])
    assert made.revise(starving=False).payload_bytes == 2 << 20


def test_each_change_has_a_higher_serial():
    made, _ = flow()
    serials = []
    for actors in (["a"], ["a", "b"], ["a"]):
        made.follow(actors)
        serials.append(made.revise(starving=False).serial)
    assert serials == sorted(set(serials))


def test_an_actor_that_is_silent_for_long_has_no_share():
    made, clock = flow()
    made.follow(["a", "b"])
    made.revise(starving=False)
    clock.now_s = 6.0
    for number in range(4):
        made.arrives("a", make_header(1, 1, BATCH, 0, number))
        made.consumed({"a": 1}, trained=True, staleness_limit=4)
    assert 2 * BATCH <= made.revise(starving=False).steps < 2.5 * BATCH


def test_what_is_rejected_without_a_header_counts_as_nothing_and_leaves_all_the_same():
    made, _ = flow()
    made.arrives("a", None)
    made.arrives("a", make_header(1, 1, 100, 2, 0))
    made.consumed({"a": 2}, trained=False, staleness_limit=4)
    made.follow([])
    assert made.revise(starving=False).steps == 2 * BATCH / 8  # nobody is there


def test_who_delivers_only_what_is_of_no_use_has_no_share():
    made, clock = flow()
    made.follow(["good", *(f"evil-{number}" for number in range(20))])
    made.arrives("good", make_header(1, 1, BATCH // 2, 0, 1))
    for number in range(20):
        made.arrives(f"evil-{number}", make_header(1, 1, BATCH, 0, 1), useful=False)
    clock.now_s = 0.1
    assert made.revise(starving=False).steps == 2 * BATCH


def test_more_is_asked_for_where_nobody_can_tell_how_much_is_of_no_use():
    """As where a game's return is NaN, so that its entry has no header that could be read."""
    made, clock = flow()
    made.follow(["a", "b"])
    for actor in "ab":
        made.arrives(actor, make_header(1, 1, 96, 0, 1))
        made.arrives(actor, None)
    for _ in range(200):
        clock.now_s += 0.05
        made.revise(starving=True)
    assert made.demand.steps > 4 * BATCH
    made.consumed({"a": 2, "b": 2}, trained=True, staleness_limit=4)
    made.revise(starving=False)
    assert made.demand.steps < 4 * BATCH


@pytest.mark.parametrize("who", ["a", "b", "ab"])
def test_more_is_asked_for_where_what_is_of_no_use_leaves_actors_no_room(who):
    """As after a server's crash: it is removed with a batch, and there is no batch before somebody has room."""
    made, clock = flow()
    made.follow(["a", "b"])
    made.consumed({}, trained=True, staleness_limit=4)
    made.arrives("a", make_header(1, 1, 8, 0, 1))  # the batch's beginning
    for actor in who:
        for number in range(4 * BATCH // 8):
            made.arrives(actor, make_header(1, 1, 8, 0, number), useful=False)
    for _ in range(200):
        clock.now_s += 0.05
        made.revise(starving=True)
    assert made.demand.steps > 4 * BATCH + 8


@pytest.mark.parametrize(("staleness_limit", "batches"), [(1, 2), (4, 3.2), (20, 16)])
def test_no_more_is_asked_for_than_is_trained_on_before_it_is_stale(staleness_limit, batches):
    """However long the learner waited for an actor that hears of room late. A quarter more waits in a client."""
    made, clock = flow()
    made.follow(["a"])
    made.revise(starving=False)
    made.arrives("a", make_header(1, 1, 2 * BATCH, 0, 1))
    made.consumed({"a": 1}, trained=True, staleness_limit=staleness_limit)
    made.arrives("a", make_header(1, 1, 200 * BATCH, 0, 2))  # it waits, whatever is asked for
    for _ in range(400):
        clock.now_s += 0.05
        made.revise(starving=True)
    assert made.demand.steps > 32 * BATCH  # or a batch of which most is stale would stop the run
    made.consumed({"a": 1}, trained=True, staleness_limit=staleness_limit)
    made.arrives("a", make_header(1, 1, 200 * BATCH, 0, 3))
    made.revise(starving=False)
    assert made.demand.steps == pytest.approx(batches * BATCH, rel=0.01)


def test_who_has_joined_and_delivers_nothing_has_no_share_after_a_second_in_which_the_learner_waits():
    made, clock = flow()
    made.follow(["good", *(f"idle-{number}" for number in range(200))])
    made.arrives("good", make_header(1, 1, BATCH // 2, 0, 1))
    made.consumed({"good": 1}, trained=False, staleness_limit=4)
    for _ in range(25):
        clock.now_s += 0.05
        made.revise(starving=True)
    assert made.demand.steps >= 2 * BATCH


def playing(seconds=0.2, every_s=0.01):
    """A flow with an actor that plays, and never had to wait for room."""
    made, clock = flow()
    made.follow(["good"])
    made.revise(starving=False)
    for number in range(round(seconds / every_s)):
        clock.now_s += every_s
        made.arrives("good", make_header(1, 1, BATCH // 4, 0, number))
        made.consumed({"good": 1}, trained=number % 4 == 3, staleness_limit=4)
    return made, clock


def waiting(made, clock, seconds):
    for _ in range(round(seconds / 0.01)):
        clock.now_s += 0.01
        made.revise(starving=True)
    return made.demand.steps


def test_where_an_actor_plays_fast_the_learner_does_not_wait_long_for_newcomers_that_are_idle():
    made, clock = playing()
    made.follow(["good", *(f"idle-{number}" for number in range(20))])
    assert made.revise(starving=False).steps < BATCH / 4
    assert waiting(made, clock, 0.15) >= 2 * BATCH


def test_where_it_plays_slowly_the_learner_waits_as_long_as_it_takes():
    made, clock = playing(seconds=20, every_s=2.0)
    made.follow(["good", *(f"idle-{number}" for number in range(20))])
    assert waiting(made, clock, 2.5) < BATCH / 4
    assert waiting(made, clock, 1.0) >= 2 * BATCH


def test_newcomers_lower_no_share_after_many_that_were_idle_until_some_deliver():
    made, clock = playing()
    idle = [f"idle-{number}" for number in range(20)]
    made.follow(["good", *idle])
    waiting(made, clock, 0.3)
    more = [f"more-{number}" for number in range(64)]
    made.follow(["good", *idle, *more])
    made.revise(starving=False)
    assert made.demand.steps >= 2 * BATCH
    for name in more[:20]:
        made.arrives(name, make_header(1, 1, 1, 0, 1))
    made.revise(starving=False)
    assert made.demand.steps <= 2 * BATCH / 60  # all of these are counted, and those who have not delivered too
