"""Games in the order in which they began, held against all games that were played."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from broodmind.common.errors import WireError
from broodmind.common.wire import codec
from broodmind.common.wire.entry_header import Episodes, Header
from broodmind.learner.metrics.begin_order import (
    BEGAN,
    HOLD_MAX_MS,
    LENGTH,
    RETURN,
    UNKNOWN,
    WAITING_MAX,
    WON,
    BeginOrder,
)

NOW = 1_700_000_000_000


def header(began=(), open_since_ms=None, returns=None, wins=None, created_ms=NOW):
    count = len(began)
    episodes = Episodes(tuple(returns or [1.0] * count), (5,) * count, tuple(began), wins)
    return Header(1, (1, 1), 8, created_ms, episodes=episodes, open_since_ms=open_since_ms)


def began(games):
    return games[:, BEGAN].tolist()


class Actor:
    """Plays copies of a game side by side: seven of ten take one step and give +1, the others are long and bad."""

    def __init__(self, name, rng, copies, fragment):
        self.name, self._rng, self.fragment = name, rng, fragment
        self.open = [self._begin(NOW) for _ in range(copies)]

    def _begin(self, now_ms):
        return (now_ms, 1 if self._rng.random() < 0.7 else 200)

    def entry(self, now_ms, played):
        """A fragment of so many steps of a millisecond; adds the games that ended in it to `played`."""
        ended = []
        for t in range(self.fragment):
            for column, (start, length) in enumerate(self.open):
                if now_ms + t - start >= length:
                    ended.append((start, 1.0 if length == 1 else -1.0, length))
                    self.open[column] = self._begin(now_ms + t)
        played += ended
        starts, returns, lengths = zip(*ended, strict=True) if ended else ((), (), ())
        return self.name, Header(
            *(1, (1, 1), self.fragment, now_ms + self.fragment, ("", "")),
            Episodes(returns, lengths, starts),
            min(start for start, _ in self.open),
        )


def test_the_games_come_in_the_order_of_their_beginnings_and_none_before_all_that_began_earlier():
    rng = np.random.default_rng(3)
    actors = [Actor("a", rng, copies=5, fragment=16), Actor("b", rng, copies=2, fragment=64), Actor("c", rng, 1, 8)]
    order, played, released = BeginOrder(), [], []
    for now_ms in range(NOW + 64, NOW + 20_000, 64):
        entries = [
            actor.entry(start, played) for actor in actors for start in range(now_ms - 64, now_ms, actor.fragment)
        ]
        released += order.take(entries, "abc", now_ms).tolist()
    everything = sorted((start, value) for start, value, _ in played)
    everything += [(start, None) for actor in actors for start, _ in actor.open]
    everything.sort(key=lambda each: each[0])
    assert len(released) > 1000
    assert all(one[BEGAN] <= other[BEGAN] for one, other in pairwise(released))
    # The same as of all games that were played, the last millisecond left out, in which some may be open.
    last = released[-1][BEGAN]
    mine = sorted((game[BEGAN], game[RETURN]) for game in released if game[BEGAN] < last)
    assert mine == [each for each in everything if each[0] < last]
    # What the order is for: in the order of their ends the first games seem good.
    ended = sorted(played, key=lambda game: game[0] + game[2])
    assert np.mean([value for _, value, _ in ended[:15]]) > 0.8
    assert abs(np.mean([game[RETURN] for game in released]) - 0.4) < 0.05


def test_nobody_waits_for_a_game_while_none_is_in_play():
    order = BeginOrder()
    games = order.take([("a", header([NOW - 5, NOW - 9], returns=[1.0, 2.0], wins=(True, False)))], "a", NOW)
    assert games[:, : WON + 1].tolist() == [[NOW - 9, 2, 5, 0], [NOW - 5, 1, 5, 1]]
    assert order.waiting == 0


def test_a_game_waits_for_one_of_another_actor_that_began_before_or_in_the_same_millisecond():
    order = BeginOrder()
    assert not len(order.take([("a", header([NOW - 5])), ("b", header(open_since_ms=NOW - 5))], "ab", NOW))
    assert order.waiting == 1
    assert began(order.take([("b", header(open_since_ms=NOW - 4))], "ab", NOW)) == [NOW - 5]
    assert order.take([("a", header([NOW - 1]))], "ab", NOW)[:, WON].tolist() == []
    assert order.take([("b", header())], "ab", NOW)[:, WON].tolist() == [UNKNOWN]  # it plays none now


def test_the_last_entry_of_an_actor_says_what_it_plays():
    order = BeginOrder()
    entries = [("a", header(open_since_ms=NOW - 9)), ("a", header([NOW - 9, NOW - 5], open_since_ms=NOW - 2))]
    assert began(order.take(entries, "a", NOW)) == [NOW - 9, NOW - 5]


def test_who_is_not_read_any_more_holds_nobody_up():
    order = BeginOrder()
    order.take([("gone", header(open_since_ms=NOW - 50)), ("a", header([NOW - 20]))], ["a", "gone"], NOW)
    assert order.waiting == 1
    assert began(order.take([], ["a"], NOW)) == [NOW - 20]
    assert began(order.take([("a", header([NOW - 10]))], ["a", "gone"], NOW)) == [NOW - 10]  # nor once it is back


def test_nobody_waits_for_ever_for_a_game_that_hangs():
    order = BeginOrder()
    order.take([("hangs", header(open_since_ms=NOW)), ("a", header([NOW + 5]))], ["a", "hangs"], NOW + 10)
    assert not len(order.take([], ["a", "hangs"], NOW + 5 + HOLD_MAX_MS))
    assert began(order.take([], ["a", "hangs"], NOW + 6 + HOLD_MAX_MS)) == [NOW + 5]


def test_so_many_wait_and_no_more_and_those_that_began_first_go_on():
    order, half = BeginOrder(), WAITING_MAX // 2
    open_since_ms = NOW - 2 * WAITING_MAX
    assert not len(order.take([("a", header(range(NOW - half, NOW), open_since_ms))], "a", NOW))
    before = range(open_since_ms - 2 * WAITING_MAX, open_since_ms)  # these wait for none
    assert began(order.take([("a", header(before, open_since_ms))], "a", NOW)) == list(before)
    games = order.take([("a", header(range(NOW - half - 9, NOW), open_since_ms))], "a", NOW)
    assert order.waiting == WAITING_MAX
    assert began(games) == list(range(NOW - half - 9, NOW - half))


def test_a_game_of_the_future_waits_no_longer_than_one_of_now():
    order = BeginOrder()
    order.take([("a", header([NOW + 10**9], open_since_ms=NOW - 1))], "a", NOW)
    assert began(order.take([("a", header(open_since_ms=NOW + 1))], "a", NOW)) == [NOW]


def test_a_restored_order_goes_on_as_if_nothing_had_been():
    order, heir = BeginOrder(), BeginOrder()
    order.take([("a", header([NOW - 4, NOW - 6])), ("b", header(open_since_ms=NOW - 9))], "ab", NOW)
    heir.restore(codec.decode(codec.encode(order.state()), max_bytes=1 << 20))
    for each in (order, heir):
        assert not len(each.take([], "ab", NOW))
        games = each.take([("b", header([NOW - 9]))], "ab", NOW)
        assert (began(games), games[:, LENGTH].tolist()) == ([NOW - 9, NOW - 6, NOW - 4], [5, 5, 5])


@pytest.mark.parametrize(
    "changed", [{"waiting": []}, {"waiting": ["<f8", [1, 3], b""]}, {"open_since_ms": 5}, {"open_since_ms": {"a": "b"}}]
)
def test_a_state_that_is_none_is_refused(changed):
    state = codec.decode(codec.encode(BeginOrder().state()), max_bytes=1 << 20)
    with pytest.raises((WireError, TypeError)):
        BeginOrder().restore({**state, **changed})
