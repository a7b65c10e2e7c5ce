"""The backlog and its spool: bounds, order, and what a killed process leaves to the next."""

from __future__ import annotations

import itertools

import pytest

from broodmind.actors.client.send_queue import Limits, SendQueue
from broodmind.actors.client.spool import Spool, first_free, read
from broodmind.actors.transport.outbox import REPLAY_S, Outbox
from broodmind.common.errors import ConfigError, WireError
from broodmind.common.wire.trajectory import Header

HEADER = Header(3, 1, 10, 1, 1234)


def payload(number, size=100):
    return b"%d " % number + b"x" * size


def put(backlog, *numbers, size=100):
    for number in numbers:
        backlog.put(HEADER, payload(number, size))


def numbers_of(backlog, parcels):
    return [int(backlog.open(parcel)[1].split()[0]) for parcel in parcels]


_opened = []


def spool(folder):
    _opened.append(Spool(folder))
    return _opened[-1]


@pytest.fixture(autouse=True)
def _closed():
    yield
    while _opened:
        _opened.pop().close()


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "run" / "a"


def reopened(backlog, folder, limits=None):
    """As a later process finds it."""
    backlog.release()
    return SendQueue(limits or Limits(), spool(folder))


def test_games_leave_in_the_order_they_came_and_as_many_as_asked_for():
    backlog = SendQueue(Limits())
    put(backlog, 1, 2, 3)
    assert numbers_of(backlog, backlog.take(2)[1]) == [1, 2]
    assert backlog.games == 3
    backlog.acknowledge()
    assert (backlog.games, backlog.sent) == (1, 2)
    assert numbers_of(backlog, backlog.take(-1)[1]) == []
    assert numbers_of(backlog, backlog.take(5)[1]) == [3]


@pytest.mark.parametrize("limits", [Limits(queue_games=3), Limits(queue_bytes=320)])
def test_the_oldest_give_way_and_are_counted_once(limits):
    backlog = SendQueue(limits)
    put(backlog, 1, 2, 3, 4, 5)
    dropped, parcels = backlog.take(1)
    assert (dropped, numbers_of(backlog, parcels)) == (2, [3])
    assert backlog.dropped == 2
    assert backlog.take(1)[0] == 0


def test_what_was_sent_again_is_kept_as_long_as_what_is_new():
    outbox = Outbox("stream", 7)
    first, second = outbox.add(HEADER, b""), outbox.add(HEADER, b"")
    assert outbox.acknowledge(100.0) == []
    assert outbox.acknowledge(100.0 + REPLAY_S + 1, resent=True) == []
    assert outbox.acknowledge(100.0 + 2 * REPLAY_S) == []
    assert outbox.acknowledge(100.0 + 2 * REPLAY_S + 2) == [first, second]


def test_a_drop_is_a_gap_in_the_numbers():
    outbox = Outbox("stream", 7)
    outbox.add(HEADER, b"")
    outbox.skip(2)
    assert outbox.add(HEADER, b"") == (7, 4)


def test_what_is_put_back_comes_first_again():
    backlog = SendQueue(Limits())
    put(backlog, 1, 2, 3)
    _, parcels = backlog.take(2)
    backlog.put_back(parcels)
    assert backlog.games == 3
    assert numbers_of(backlog, backlog.take(3)[1]) == [1, 2, 3]


def test_one_game_larger_than_all_bounds_is_kept_alone():
    backlog = SendQueue(Limits(queue_bytes=10))
    put(backlog, 1, 2)
    assert numbers_of(backlog, backlog.take(9)[1]) == [2]


@pytest.mark.parametrize("field", ["queue_games", "queue_bytes", "spool_bytes"])
def test_limits_are_positive(field):
    with pytest.raises(ConfigError, match=f"{field}: 0, expected"):
        Limits(**{field: 0})


def test_what_a_process_did_not_send_the_next_one_sends_as_new(folder):
    backlog = SendQueue(Limits(), spool(folder))
    put(backlog, *range(1, 13))
    backlog = reopened(backlog, folder)
    assert backlog.resumed == {}
    assert (backlog.games, backlog.spooled) == (12, 12)
    assert numbers_of(backlog, backlog.take(20)[1]) == list(range(1, 13))


def test_what_a_process_may_have_sent_the_next_one_finds_under_its_id(folder):
    backlog = SendQueue(Limits(), spool(folder))
    put(backlog, *range(1, 13))
    _, parcels = backlog.take(11)
    for number, parcel in enumerate(parcels, 1):
        backlog.number(parcel, (99, number))
    backlog.forget(parcels[0])
    backlog = reopened(backlog, folder)
    # In the order of their ids as numbers: as text, 10 would come before 2.
    assert list(backlog.resumed) == [(99, number) for number in range(2, 12)]
    assert numbers_of(backlog, backlog.resumed.values()) == list(range(2, 12))
    assert numbers_of(backlog, backlog.take(9)[1]) == [12]
    assert backlog.games == 11


def test_what_does_not_fit_into_memory_waits_on_disk_alone(folder):
    backlog = SendQueue(Limits(queue_bytes=250), spool(folder))
    put(backlog, 1, 2, 3, 4)
    assert [parcel.packed is None for parcel in backlog._queue] == [False, False, True, True]
    _, parcels = backlog.take(4)
    assert numbers_of(backlog, parcels) == [1, 2, 3, 4]
    assert backlog.open(parcels[3]) == (HEADER, payload(4))
    assert backlog.dropped == 0


def test_a_full_spool_drops_the_oldest_with_their_files(folder):
    backlog = SendQueue(Limits(spool_bytes=350), spool(folder))
    put(backlog, *range(1, 7))
    assert backlog.dropped == 3
    assert len(list(folder.glob("*.game"))) == 3
    backlog = reopened(backlog, folder)
    assert numbers_of(backlog, backlog.take(9)[1]) == [4, 5, 6]


def test_a_spool_that_cannot_be_written_leaves_the_game_in_memory(folder):
    backlog = SendQueue(Limits(), spool(folder))
    (folder / "lock").unlink()
    folder.rmdir()
    put(backlog, 1)
    assert numbers_of(backlog, backlog.take(1)[1]) == [1]
    backlog.release()


def test_a_game_that_is_torn_or_gone_is_dropped_and_counted(folder):
    backlog = SendQueue(Limits(), spool(folder))
    put(backlog, 1, 2, 3)
    backlog.release()
    first, second, _ = sorted(folder.glob("*.game"))
    first.write_bytes(first.read_bytes()[:50])
    backlog = SendQueue(Limits(), spool(folder))
    second.unlink()
    _, parcels = backlog.take(3)
    assert [backlog.open(parcel) is None for parcel in parcels] == [True, True, False]
    assert (backlog.dropped, backlog.games) == (2, 1)
    assert not first.exists()
    backlog.release()


@pytest.mark.parametrize("torn", [b"", b"junk", b"\x80"])
def test_what_is_no_game_is_refused(tmp_path, torn):
    (tmp_path / "x").write_bytes(torn)
    with pytest.raises(WireError):
        read(tmp_path / "x")


def test_half_written_files_are_swept_away(folder):
    first = spool(folder)
    (folder / "new-1-1.tmp").write_bytes(b"half")
    first.close()
    assert spool(folder).found() == ({}, [])
    assert not list(folder.glob("*.tmp"))


def test_a_folder_is_one_process_s_at_a_time(folder):
    first = spool(folder)
    with pytest.raises(ConfigError, match="another process's"):
        spool(folder)
    first.close()
    spool(folder)


def test_a_process_takes_the_first_name_that_no_living_one_has(tmp_path):
    spools = [first_free(tmp_path, "host") for _ in range(3)]
    assert [name for name, _ in spools] == ["host-000", "host-001", "host-002"]
    spools[1][1].close()
    spools.append(first_free(tmp_path, "host"))
    assert spools[-1][0] == "host-001"
    _opened.extend(each for _, each in spools)


def test_two_processes_one_after_the_other_never_overwrite(folder):
    backlog = SendQueue(Limits(), spool(folder))
    for number in itertools.count(1):
        put(backlog, number)
        backlog = reopened(backlog, folder)
        if number == 5:
            break
    assert sorted(numbers_of(backlog, backlog.take(9)[1])) == [1, 2, 3, 4, 5]
    backlog.release()


def test_what_a_full_server_refused_between_others_is_numbered_again():
    """It could never be added under its old id, which is now behind the stream's last."""
    outbox = Outbox("stream", 7)
    for number in range(1, 6):
        outbox.add(HEADER, payload(number))
    assert outbox.sort_out([False, True, True, False, True]) == {(7, 2): (7, 6), (7, 3): (7, 7)}
    assert [(each.entry_id, each.command[2], each.command[-1]) for each in outbox.unsent()] == [
        ((7, 5), "7-5", payload(5)),
        ((7, 6), "7-6", payload(2)),
        ((7, 7), "7-7", payload(3)),
    ]
    assert [each.entry_id for each in outbox.after_reconnect()[:2]] == [(7, 1), (7, 4)]


def test_what_a_full_server_refused_at_the_end_keeps_its_numbers():
    outbox = Outbox("stream", 7)
    for number in range(1, 4):
        outbox.add(HEADER, payload(number))
    assert outbox.sort_out([False, True, True]) == {}
    assert [each.entry_id for each in outbox.unsent()] == [(7, 2), (7, 3)]
    assert outbox.sort_out([True, True]) == {}
    assert [each.entry_id for each in outbox.unsent()] == [(7, 2), (7, 3)]
