"""The delivery: from the queue to the server's disk, step by step, and the side ways."""

from __future__ import annotations

import threading

import pytest
from support.runs import make_header

from broodmind.actors.client.spool import Spool
from broodmind.actors.transport.delivery import REPLAY_S, Delivery
from broodmind.actors.transport.entry import Answer, State
from broodmind.actors.transport.send_queue import Limits

HEADER = make_header(3, 1, 10, 1, 1234)
TAKEN, THERE, REFUSED = Answer.TAKEN, Answer.EQUAL_OR_SMALLER, Answer.REFUSED


def payload(number, size=100):
    return b"%d " % number + b"x" * size


def put(delivery, *numbers):
    for number in numbers:
        delivery.put(HEADER, payload(number))


def begun(*numbers, limits=None, spool=None, incarnation=7):
    """A delivery under an incarnation, with entries in its queue."""
    delivery = Delivery(limits, spool)
    delivery.begin(incarnation)
    put(delivery, *numbers)
    return delivery


def send(delivery, *answers, now_s=0.0):
    """Number all, send them, and sort them out by the answers, which are TAKEN where none are given."""
    delivery.number()
    sent = delivery.start_sending()
    return delivery.answered(answers or [TAKEN] * len(sent), now_s)


def resend(delivery, now_s=0.0):
    """Send again what must be, and find it there; returns the entries in the order of sending."""
    entries = delivery.entries_to_resend()
    for entry in entries:
        delivery.arrived(entry, now_s)
    return entries


def ids(entries):
    return [entry.entry_id for entry in entries]


def numbers_of(entries):
    return [int(entry.content[1].split()[0]) for entry in entries]


def counts(delivery):
    return delivery.queued, delivery.sent, delivery.lost


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "run" / "a"


@pytest.fixture
def spool(folder):
    """Opens the folder's spool, as one process after the other does."""
    opened = []

    def make():
        for each in opened:
            each.close()
        opened.append(Spool(folder))
        return opened[-1]

    yield make
    for each in opened:
        each.close()


def names(folder):
    return sorted(file.name for file in folder.glob("*.game"))


# The way of an entry that nothing happens to.


def test_entries_are_numbered_in_the_order_they_came_and_as_many_as_asked_for():
    delivery = begun(1, 2, 3)
    assert counts(delivery) == (3, 0, 0)
    first = delivery.number(2)
    assert (numbers_of(first), ids(first)) == ([1, 2], [(7, 1), (7, 2)])
    assert delivery.last_id == (7, 2)
    assert counts(delivery) == (3, 0, 0)
    assert ids(delivery.start_sending()) == [(7, 1), (7, 2)]
    assert ids(delivery.answered([TAKEN, TAKEN], 0.0)) == [(7, 1), (7, 2)]
    assert counts(delivery) == (1, 2, 0)
    assert delivery.number(-1) == []
    assert ids(delivery.number(5)) == [(7, 3)]


def test_what_was_acknowledged_long_enough_ago_is_safe():
    delivery = begun(1)
    (first,) = send(delivery, now_s=10.0)
    put(delivery, 2)
    (second,) = send(delivery, now_s=10.5)
    delivery.forget_safe(10.0 + REPLAY_S)  # just within
    assert [first.state, second.state] == [State.ACKNOWLEDGED] * 2
    delivery.forget_safe(10.25 + REPLAY_S)
    assert [first.state, second.state] == [State.SAFE, State.ACKNOWLEDGED]
    delivery.connection_lost()
    assert ids(resend(delivery, 10.25 + REPLAY_S)) == [(7, 2)]
    delivery.forget_safe(20.0 + 2 * REPLAY_S)
    assert second.state is State.SAFE
    delivery.connection_lost()
    assert resend(delivery) == []


def test_replay_covers_what_a_log_synced_every_second_may_lose():
    # appendfsync everysec puts a write off for up to two seconds (redis.conf); three leave room for a slow disk.
    assert REPLAY_S >= 3


# Lost connections.


def test_after_a_lost_connection_unacknowledged_entries_are_sent_first_and_in_order():
    delivery = begun(1)
    send(delivery, now_s=10.0)
    put(delivery, 2)
    send(delivery, now_s=11.0)
    put(delivery, 3, 4)
    delivery.number()
    delivery.start_sending()  # and no answer comes
    delivery.connection_lost()
    assert counts(delivery) == (2, 2, 0)
    again = delivery.entries_to_resend()
    assert ids(again) == [(7, 1), (7, 2), (7, 3), (7, 4)]
    assert [entry.state for entry in again] == [State.DOUBTED, State.DOUBTED, State.SENT, State.SENT]
    assert [delivery.arrived(entry, 12.0) for entry in again] == [False, False, True, True]  # told for the first time
    assert counts(delivery) == (0, 4, 0)
    assert delivery.entries_to_resend() == []


def test_nothing_new_is_numbered_or_sent_before_what_must_be_sent_again():
    delivery = begun(1)
    send(delivery)
    delivery.connection_lost()
    put(delivery, 2)
    with pytest.raises(AssertionError):
        delivery.number()
    with pytest.raises(AssertionError):
        delivery.start_sending()
    resend(delivery)
    assert ids(delivery.number()) == [(7, 2)]


def test_a_connection_lost_during_a_resend_restarts_the_resend():
    delivery = begun(1, 2, 3)
    send(delivery, now_s=10.0)
    delivery.connection_lost()
    delivery.arrived(delivery.entries_to_resend()[0], 11.0)
    assert ids(delivery.entries_to_resend()) == [(7, 2), (7, 3)]
    delivery.connection_lost()
    assert ids(delivery.entries_to_resend()) == [(7, 1), (7, 2), (7, 3)]


def test_a_resent_entry_is_kept_until_it_is_safe_as_if_sent_for_the_first_time():
    """A server that lost it was away for long, took it again, and may lose it once more."""
    delivery = begun(1, 2)
    first, second = send(delivery, now_s=100.0)
    delivery.connection_lost()
    resend(delivery, 100.0 + REPLAY_S + 1)
    delivery.forget_safe(100.0 + 2 * REPLAY_S)
    assert [first.state, second.state] == [State.ACKNOWLEDGED] * 2
    delivery.forget_safe(100.0 + 2 * REPLAY_S + 2)
    assert [first.state, second.state] == [State.SAFE] * 2


def test_nothing_becomes_safe_while_any_entry_must_be_sent_again():
    delivery = begun(1)
    (entry,) = send(delivery, now_s=0.0)
    delivery.connection_lost()
    delivery.forget_safe(1000.0)
    assert entry.state is State.DOUBTED


# Servers that refuse for now.


def test_an_entry_that_a_full_server_refused_before_others_gets_a_new_number():
    """It could never be added under its old id, which is now below the stream's last."""
    delivery = begun(1, 2, 3, 4, 5)
    taken = send(delivery, TAKEN, REFUSED, REFUSED, TAKEN, REFUSED)
    assert ids(taken) == [(7, 1), (7, 4)]
    assert counts(delivery) == (3, 2, 0)
    again = delivery.start_sending()
    assert (ids(again), numbers_of(again)) == ([(7, 5), (7, 6), (7, 7)], [5, 2, 3])
    delivery.answered([TAKEN] * 3, 0.0)
    put(delivery, 6)
    assert ids(delivery.number()) == [(7, 8)]


def test_entries_that_a_full_server_refused_last_keep_their_numbers():
    delivery = begun(1, 2, 3)
    send(delivery, TAKEN, REFUSED, REFUSED)
    assert ids(send(delivery, REFUSED, REFUSED)) == []
    assert ids(send(delivery)) == [(7, 2), (7, 3)]


def test_entries_taken_by_a_busy_server_are_sent_again_on_the_next_connection():
    delivery = begun(1, 2, 3)
    send(delivery, REFUSED, TAKEN, REFUSED)
    delivery.connection_lost()
    assert ids(resend(delivery)) == [(7, 2)]
    again = delivery.start_sending()
    assert (ids(again), numbers_of(again)) == ([(7, 3), (7, 4)], [3, 1])


# Another process under the same name.


def test_entries_refused_because_of_another_process_are_renumbered_under_a_higher_incarnation():
    delivery = begun(1, 2, 3)
    assert ids(send(delivery, TAKEN, THERE, THERE)) == [(7, 1)]
    assert counts(delivery) == (2, 1, 0)
    assert not delivery.ready
    with pytest.raises(AssertionError):
        delivery.number()
    put(delivery, 4)
    assert delivery.begin(5) == 8  # whatever the clock says
    entries = delivery.number()
    assert (ids(entries), numbers_of(entries)) == ([(8, 1), (8, 2), (8, 3)], [2, 3, 4])


def test_entries_refused_for_different_reasons_are_requeued_together_and_in_order():
    """Left under its id, what another process kept out would be "equal or smaller" next time, and pass for arrived."""
    delivery = begun(1, 2, 3, 4)
    send(delivery, REFUSED, THERE, TAKEN, REFUSED)
    assert counts(delivery) == (3, 1, 0)
    delivery.begin(8)
    entries = delivery.number()
    assert (ids(entries), numbers_of(entries)) == ([(8, 1), (8, 2), (8, 3)], [1, 2, 4])


# What is given up.


def test_dropping_the_oldest_entries_leaves_one_gap():
    delivery = begun(1, 2, 3, 4, 5, limits=Limits(queue_games=3))
    assert counts(delivery) == (3, 0, 2)
    entries = delivery.number(1)
    assert (ids(entries), numbers_of(entries)) == ([(7, 3)], [3])
    assert ids(delivery.number()) == [(7, 4), (7, 5)]


def test_games_given_up_elsewhere_leave_a_gap_too():
    delivery = begun(1)
    delivery.number()
    delivery.skip(2)
    put(delivery, 2)
    assert ids(delivery.number()) == [(7, 4)]


def test_a_requeued_entry_leaves_its_gap_again():
    """Under its old incarnation nobody saw it."""
    delivery = begun(1, 2, 3, 4, 5, limits=Limits(queue_games=3))
    send(delivery, THERE, THERE, THERE)
    delivery.begin(8)
    assert ids(delivery.number()) == [(8, 3), (8, 4), (8, 5)]


def test_an_entry_that_is_requeued_and_then_dropped_leaves_one_gap():
    delivery = begun(1, 2, 3, 4, 5, limits=Limits(queue_games=3))
    send(delivery, THERE, THERE, THERE)
    put(delivery, 6)
    assert delivery.lost == 3
    delivery.begin(8)
    entries = delivery.number()
    assert (ids(entries), numbers_of(entries)) == ([(8, 4), (8, 5), (8, 6)], [4, 5, 6])


# What is counted: games, which may be many in an entry, or none.


def header_of(games):
    return make_header(3, 1, 10, games, 1234)


def test_the_counts_are_of_games_and_not_of_entries(spool):
    delivery = begun(spool=spool(), limits=Limits(spool_bytes=250))
    for number, games in enumerate((5, 3, 2), start=1):
        delivery.put(header_of(games), payload(number))
    assert (delivery.queued, delivery.spooled, delivery.lost) == (5, 5, 5)
    assert (delivery.queued_steps, delivery.queued_bytes) == (20, 2 * len(payload(1)))
    assert [entry.games for entry in delivery.number(1)] == [3]
    assert delivery.queued == 5
    delivery.answered([TAKEN for _ in delivery.start_sending()], 0.0)
    assert (delivery.queued, delivery.sent, delivery.lost, delivery.spooled) == (2, 3, 5, 2)
    assert (delivery.queued_steps, delivery.queued_bytes) == (10, len(payload(1)))


def test_an_entry_without_a_finished_game_is_waited_for_too():
    delivery = begun()
    delivery.put(header_of(0), payload(1))
    assert delivery.queued == 0
    assert not delivery.wait_until_empty(0)
    send(delivery)
    assert delivery.wait_until_empty(0)


def test_a_later_process_counts_the_games_of_what_it_finds(spool):
    delivery = begun(spool=spool())
    for number, games in enumerate((4, 1, 7), start=1):
        delivery.put(header_of(games), payload(number))
    delivery.number(1)
    later = Delivery(Limits(), spool())
    assert (later.queued, later.spooled) == (12, 12)
    resend(later)
    assert (later.queued, later.sent) == (8, 4)


# Games given up before their first step.


def given_up(entries):
    return [entry.overflow for entry in entries]


def give_up(delivery, games):
    for _ in range(games):
        delivery.give_up()


def test_what_was_given_up_has_no_number_and_each_entry_tells_their_total():
    delivery = begun(1)
    give_up(delivery, 3)
    assert (counts(delivery), delivery.overflow) == ((1, 0, 0), 3)
    first = send(delivery)
    give_up(delivery, 2)
    put(delivery, 2)
    second = send(delivery)
    assert (ids(first + second), given_up(first + second)) == ([(7, 1), (7, 2)], [3, 5])


def test_what_is_sent_again_tells_what_it_told():
    delivery = begun(1)
    give_up(delivery, 3)
    send(delivery)
    give_up(delivery, 2)
    delivery.connection_lost()
    assert given_up(resend(delivery)) == [3]


def test_under_a_new_incarnation_the_total_begins_with_what_was_not_told():
    delivery = begun(1)
    give_up(delivery, 3)
    send(delivery)
    give_up(delivery, 2)
    put(delivery, 2)
    send(delivery, THERE)
    give_up(delivery, 1)
    delivery.begin(8)
    assert (given_up(send(delivery)), delivery.overflow, delivery.overflow_of_incarnation) == ([3], 6, 3)


def test_an_entry_of_an_earlier_process_tells_nothing_of_this_one(spool):
    begun(1, spool=spool()).number()
    later = Delivery(Limits(), spool())
    give_up(later, 4)
    assert given_up(resend(later)) == [0]
    later.begin(8)
    put(later, 2)
    assert given_up(send(later)) == [4]


# The spool.


def test_a_file_is_deleted_when_its_entry_is_safe(spool, folder):
    delivery = begun(1, 2, spool=spool())
    assert delivery.spooled == 2
    send(delivery, now_s=0.0)
    assert names(folder) == ["sent-7-1.game", "sent-7-2.game"]
    assert delivery.spooled == 0  # they wait for nothing any more
    delivery.forget_safe(REPLAY_S + 1)
    assert names(folder) == []


def test_a_file_is_named_after_its_id_before_it_is_sent(spool, folder):
    delivery = begun(1, 2, spool=spool())
    delivery.number(1)
    assert [name.split("-")[0] for name in names(folder)] == ["new", "sent"]


def test_files_are_renamed_when_entries_are_renumbered(spool, folder):
    delivery = begun(1, 2, spool=spool())
    send(delivery, REFUSED, TAKEN)
    assert names(folder) == ["sent-7-2.game", "sent-7-3.game"]


def test_files_of_requeued_entries_are_marked_as_not_sent(spool):
    """Sent again under its id it would be "equal or smaller" than the other process's, and pass for arrived."""
    send(begun(1, 2, 3, spool=spool()), TAKEN, THERE, THERE)
    later = Delivery(Limits(), spool())
    resumed = later.entries_to_resend()
    assert (ids(resumed), numbers_of(resumed)) == ([(7, 1)], [1])
    later.arrived(resumed[0], 0.0)
    assert later.begin(1) == 8
    assert numbers_of(later.number()) == [2, 3]


def test_the_next_process_sends_unsent_files_as_new_entries(spool):
    put(Delivery(Limits(), spool()), *range(1, 13))
    later = begun(spool=spool(), limits=Limits())
    assert (later.queued, later.spooled) == (12, 12)
    assert later.entries_to_resend() == []
    assert numbers_of(later.number()) == list(range(1, 13))


def test_the_next_process_resends_possibly_sent_files_under_their_ids(spool):
    delivery = begun(*range(1, 13), spool=spool())
    delivery.number(11)
    later = Delivery(Limits(), spool())
    assert counts(later) == (12, 0, 0)
    assert not later.ready
    resumed = later.entries_to_resend()
    # In the order of their ids as numbers: as text, 10 would come before 2.
    assert (ids(resumed), numbers_of(resumed)) == ([(7, n) for n in range(1, 12)], list(range(1, 12)))
    assert all(later.arrived(entry, 0.0) for entry in resumed)
    assert counts(later) == (1, 11, 0)
    assert later.begin(3) == 8
    assert ids(later.number()) == [(8, 1)]


def test_a_process_that_ends_normally_leaves_files_of_unacknowledged_entries(spool, folder):
    delivery = begun(1, 2, 3, spool=spool())
    delivery.number(2)
    delivery.answered([TAKEN for _ in delivery.start_sending()], 0.0)
    delivery.release()
    assert len(names(folder)) == 1
    assert numbers_of(begun(spool=spool()).number()) == [3]


def test_entries_that_do_not_fit_into_memory_are_read_back_from_their_files(spool):
    delivery = begun(1, 2, 3, 4, spool=spool(), limits=Limits(queue_bytes=250))
    entries = delivery.number()
    assert numbers_of(entries) == [1, 2, 3, 4]
    assert entries[3].content == (HEADER, payload(4))
    assert delivery.lost == 0


def test_a_full_spool_drops_the_oldest_with_their_files(spool, folder):
    delivery = begun(*range(1, 7), spool=spool(), limits=Limits(spool_bytes=350))
    assert counts(delivery) == (3, 0, 3)
    assert len(names(folder)) == delivery.spooled == 3
    assert numbers_of(begun(spool=spool()).number()) == [4, 5, 6]


def test_a_spool_that_cannot_be_written_leaves_the_game_in_memory(spool, folder):
    delivery = begun(spool=spool())
    (folder / "lock").unlink()
    folder.rmdir()
    put(delivery, 1)
    assert delivery.spooled == 0
    assert numbers_of(delivery.number()) == [1]


def test_a_file_that_cannot_be_renamed_is_deleted_so_that_it_is_not_sent_twice(spool, folder):
    delivery = begun(1, spool=spool())
    (folder / "sent-7-1.game").mkdir()
    assert numbers_of(send(delivery)) == [1]
    assert delivery.spooled == 0
    assert names(folder) == ["sent-7-1.game"]  # the folder that was in the way


def test_a_file_that_cannot_be_renamed_back_costs_no_game(spool, folder, caplog):
    delivery = begun(1, 2, spool=spool())
    queued_as = names(folder)[1]
    delivery.number()
    delivery.start_sending()
    (folder / queued_as).mkdir()
    delivery.answered([TAKEN, THERE], 0.0)
    assert "spooled game not renamed after it was taken back" in caplog.text
    assert delivery.begin(9) == 9
    assert ids(delivery.number()) == [(9, 1)]
    assert names(folder) == [queued_as, "sent-7-1.game", "sent-9-1.game"]


@pytest.mark.parametrize("fault", ["damaged", "gone"])
def test_a_game_that_cannot_be_read_is_dropped_and_leaves_a_gap(spool, folder, fault):
    put(Delivery(Limits(), spool()), 1, 2, 3)
    later = begun(spool=spool())
    file = sorted(folder.glob("*.game"))[1]
    if fault == "gone":
        file.unlink()
    else:
        file.write_bytes(file.read_bytes()[:50])
    entries = later.number()
    assert (ids(entries), numbers_of(entries)) == ([(7, 1), (7, 3)], [1, 3])
    assert counts(later) == (2, 0, 1)
    assert not file.exists()


def test_a_resumed_game_that_cannot_be_read_is_dropped_and_leaves_a_gap(spool, folder):
    begun(1, 2, spool=spool()).number()
    (folder / "sent-7-1.game").write_bytes(b"")
    later = Delivery(Limits(), spool())
    assert ids(resend(later)) == [(7, 2)]
    assert counts(later) == (0, 1, 1)
    later.begin(8)
    put(later, 3)
    assert ids(later.number()) == [(8, 2)]


# Waiting.


def test_waiting_until_empty_ends_at_the_last_acknowledgement():
    delivery = begun(1, 2)
    assert not delivery.wait_until_empty(0)
    ended = []
    waiting = threading.Thread(target=lambda: ended.append(delivery.wait_until_empty(60)))
    waiting.start()
    send(delivery, TAKEN, REFUSED)
    send(delivery)
    waiting.join(60)
    assert ended == [True]


@pytest.mark.parametrize("wait", ["wait_for_work", "wait_until_closed"])
def test_close_ends_all_waits(wait):
    delivery = begun()
    waiting = threading.Thread(target=getattr(delivery, wait), args=(60,), daemon=True)
    waiting.start()
    delivery.close()
    waiting.join(30)
    assert not waiting.is_alive()
    assert delivery.closed


def test_waiting_for_work_ends_at_the_next_entry():
    delivery = begun()
    waiting = threading.Thread(target=delivery.wait_for_work, args=(60,), daemon=True)
    waiting.start()
    put(delivery, 1)
    waiting.join(30)
    assert not waiting.is_alive()
