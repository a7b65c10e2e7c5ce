"""What an actor has unconsumed, and whether the learner's demand leaves room for more."""

from __future__ import annotations

from itertools import pairwise

import pytest
from support.runs import make_header

from broodmind.actors.transport.credit import Amount, Credit, Unconsumed, amount_of
from broodmind.common.wire.demand import Demand

FRAGMENT = Amount(steps=512, payload_bytes=1000)
GAME = Amount(steps=12, games=1, payload_bytes=100)


def demand(**parts):
    whole = {"serial": 1, "steps": 0, "games": 0, "payload_bytes": 1 << 30, "batch_steps": 0, "batch_games": 0}
    return Demand(**{**whole, **parts})


def of_steps(steps, batch=2048):
    return demand(steps=steps, batch_steps=batch)


def unconsumed(*entries):
    made = Unconsumed()
    made.add(entries)
    made.observe(len(entries))
    return made


def test_an_entry_counts_with_the_steps_that_its_resets_may_swallow():
    assert amount_of(make_header(1, 1, 20, 3, 0), 70) == Amount(23, 3, 70)


def test_what_is_unconsumed_is_the_last_entries_that_were_added():
    account = Unconsumed()
    account.add([Amount(10, 1, 100), Amount(20, 2, 200), Amount(30, 3, 300)])
    account.observe(3)
    assert account.amount == Amount(60, 6, 600)
    account.observe(2)
    assert (account.entries, account.amount) == (2, Amount(50, 5, 500))
    account.add([Amount(5, 0, 50)])
    account.observe(2)
    assert account.amount == Amount(35, 3, 350)
    account.observe(0)
    assert account.amount == Amount()


def test_entries_of_an_earlier_process_count_as_the_mean():
    account = Unconsumed()
    account.observe(4)
    assert (account.entries, account.amount) == (4, Amount())  # nothing is known yet
    account.add([Amount(10, 1, 100)])
    account.observe(5)
    assert account.amount == Amount(50, 5, 500)
    account.observe(1)
    assert account.amount == Amount(10, 1, 100)


def credit(of, usual=FRAGMENT, without_demand=2):
    """Of an actor that has been there for a while."""
    clock = iter([0.0, *[9.0] * 10_000])
    made = Credit(without_demand, lambda: next(clock))
    made.learn(of, (1, 1), usual)
    return made


@pytest.mark.parametrize(("serial", "now_s", "allowed"), [(1, 0.9, False), (2, 0.9, True), (1, 1.1, True)])
def test_until_the_learner_has_counted_it_an_actor_has_one_fragment(serial, now_s, allowed):
    clock = iter([0.0, *[now_s] * 10])
    made = Credit(2, lambda: next(clock))
    made.learn(of_steps(4096), (1, 1), FRAGMENT)
    assert made.allows(unconsumed(), FRAGMENT)
    made.learn(demand(serial=serial, steps=4096, batch_steps=2048), (1, 1), FRAGMENT)
    assert made.allows(unconsumed(FRAGMENT), FRAGMENT) == allowed


@pytest.mark.parametrize(("held", "allowed"), [(0, True), (1, True), (2, False)])
def test_without_a_demand_a_few_entries_may_be_there(held, allowed):
    assert Credit(2).allows(unconsumed(*[FRAGMENT] * held), FRAGMENT) == allowed


def test_a_share_that_is_a_multiple_of_a_fragment_is_kept_exactly():
    made = credit(of_steps(1024))
    assert [made.allows(unconsumed(*[FRAGMENT] * held), FRAGMENT) for held in range(4)] == [True, True, False, False]


@pytest.mark.parametrize("share", [51, 683, 1300])
def test_the_mean_of_what_actors_have_unconsumed_is_their_share(share):
    held = []
    for _ in range(600):
        made = credit(of_steps(share))
        held.append(next(n for n in range(9) if not made.allows(unconsumed(*[FRAGMENT] * n), FRAGMENT)) * 512)
    assert sum(held) / len(held) == pytest.approx(share, rel=0.5 if share < 512 else 0.1)


def test_turns_move_on_with_the_versions_and_each_actor_has_one():
    made, turns = Credit(2), []
    for version in range(400):
        made.learn(of_steps(64), (1, version), FRAGMENT)
        turns.append(made.allows(unconsumed(), FRAGMENT))
    begins = sum(now and not before for before, now in pairwise(turns))
    assert 4 <= begins <= 8
    assert sum(turns) / len(turns) == pytest.approx(64 / 512, abs=0.05)


def test_a_turn_does_not_move_on_while_the_version_stays():
    made = credit(of_steps(64))
    before = made.allows(unconsumed(), FRAGMENT)
    for serial in range(100):
        made.learn(demand(serial=serial, steps=64, batch_steps=2048), (1, 0), FRAGMENT)
        assert made.allows(unconsumed(), FRAGMENT) == before


def test_an_actor_with_nothing_unconsumed_may_go_on_if_a_batch_may_be_all_its_own():
    huge = Amount(steps=100_000)
    made = credit(of_steps(2048), huge)
    assert made.allows(unconsumed(), huge)
    assert not made.allows(unconsumed(huge), huge)


def test_both_the_steps_and_the_games_must_be_there_to_stop():
    made = credit(demand(steps=100, games=4, batch_steps=100, batch_games=4), GAME)
    long = Amount(steps=100, games=1)
    assert made.allows(unconsumed(long, long), long)
    assert made.allows(unconsumed(*[GAME] * 5), GAME)
    assert not made.allows(unconsumed(*[GAME] * 20), GAME)


def test_bytes_stop_it_whatever_the_steps_but_never_a_first_entry():
    made = credit(demand(steps=1 << 20, batch_steps=2048, payload_bytes=1500))
    assert made.allows(unconsumed(), Amount(steps=1, payload_bytes=1 << 30))
    assert not made.allows(unconsumed(FRAGMENT), FRAGMENT)


def test_how_many_more_entries_may_be_added():
    made = credit(of_steps(1200), GAME)
    account = unconsumed(*[GAME] * 10)
    more = made.entries(account)
    assert 90 <= more <= 91
    account.add([GAME] * more)
    account.observe(10 + more)
    assert made.entries(account) == 0
    assert credit(of_steps(1200), GAME).entries(Unconsumed()) == 1  # how large they are is not known
    assert credit(None, without_demand=64).entries(account) == 0
    assert credit(None, without_demand=64).entries(unconsumed(GAME)) == 63


def test_what_it_says_about_itself():
    assert (Credit(2).steps, Credit(2).batch_steps) == (None, None)
    assert (credit(of_steps(7)).steps, credit(of_steps(7)).batch_steps) == (7, 2048)
    assert credit(demand(games=7, batch_games=16)).steps is None


@pytest.mark.parametrize(
    ("demand", "seconds"),
    [
        (None, 0.4),
        (of_steps(4096), 0.05),  # one actor
        (of_steps(4096 / 64), 32 / 300),
        (of_steps(4), 0.4),  # a thousand
        (demand(games=1, batch_games=16), 16 / 300),
        (demand(steps=4, batch_steps=2048, games=1, batch_games=16), 16 / 300),
        (demand(), 0.4),
    ],
)
def test_the_fewer_share_what_is_wanted_the_sooner_each_asks_again(demand, seconds):
    assert credit(demand).longest_wait_s == pytest.approx(seconds)
