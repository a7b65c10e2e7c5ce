"""The spool: what a killed process leaves to the next one."""

from __future__ import annotations

import pytest
from support.runs import make_header

from broodmind.actors.client.spool import Spool, first_free, read
from broodmind.actors.transport.delivery import Delivery
from broodmind.common.errors import ConfigError, WireError
from broodmind.common.wire import codec
from broodmind.common.wire.entry_header import Episodes, Header

HEADER = make_header(3, 1, 10, 1, 1234)


@pytest.fixture
def spool():
    """Opens a spool in a folder; all are closed at the end."""
    opened = []

    def make(folder):
        opened.append(Spool(folder))
        return opened[-1]

    yield make
    for each in opened:
        each.close()


def test_a_spooled_game_is_read_as_it_was_written(spool, tmp_path):
    header = make_header(3, 1, 10, 1, 1234, "abc")
    there = spool(tmp_path)
    assert there.read(there.write(header, b"payload")) == (header, b"payload")


def test_a_file_s_name_says_whether_its_game_may_have_been_sent(spool, tmp_path):
    there = spool(tmp_path)
    first, second, third = (there.write(HEADER, b"%d" % number) for number in range(3))
    sent = there.number(second, (99, 7))
    assert sent.name == "sent-99-7.game"
    assert there.found() == ({(99, 7): sent}, [first, third])
    assert there.unnumber(sent, second) == second
    assert there.found() == ({}, [first, second, third])
    there.discard(first)
    assert there.found() == ({}, [second, third])


def test_a_file_s_name_says_how_many_games_are_in_it(spool, tmp_path):
    there = spool(tmp_path)
    files = [there.write(make_header(3, 1, 10, games, 1234), b"") for games in (1, 12, 0)]
    assert [there.games_in(file) for file in files] == [1, 12, 0]
    assert ".12-games." in files[1].name
    sent = there.number(files[1], (99, 7))
    assert there.games_in(sent) == 12
    assert there.found() == ({(99, 7): sent}, [files[0], files[2]])
    assert there.unnumber(sent, files[1]) == files[1]


def test_of_files_that_are_half_written_only_its_own_are_removed(spool, tmp_path):
    names = ["new-1-2.tmp", "new-1-3.12-games.tmp", "thesis.tmp", "new-1-2.tmp.tmp", "new-draft.tmp"]
    for name in names:
        (tmp_path / name).write_text("mine")
    spool(tmp_path)
    assert {file.name for file in tmp_path.iterdir()} == {*names[2:], "lock"}


def test_ids_are_sorted_as_numbers_and_new_files_by_age(spool, tmp_path):
    there = spool(tmp_path)
    files = [there.write(HEADER, b"") for _ in range(24)]
    for number, file in enumerate(files[:12], 1):
        there.number(file, (99, number))
    sent, new = there.found()
    assert list(sent) == [(99, number) for number in range(1, 13)]
    assert new == files[12:]


def test_a_later_process_does_not_overwrite_existing_files(spool, tmp_path, monkeypatch):
    monkeypatch.setattr("broodmind.actors.client.spool.now_ms", lambda: 1000)  # as if the clock went back
    files = []
    for _ in range(5):
        there = spool(tmp_path)
        files.append(there.write(HEADER, b""))
        there.close()
    assert spool(tmp_path).found() == ({}, files)


def test_the_files_of_format_2_are_found_and_read(spool, tmp_path):
    """Written out by hand: what lies in users' folders must be picked up by every later version."""
    import msgpack

    entry = [
        *(b"format", b"2", b"epoch", b"1", b"versions", b"3 4", b"commits", b"c d", b"steps", b"10", b"bytes", b"1"),
        *(b"games", b"1", b"time", b"1234", b"open", b"", b"overflow", b"0", b"returns", b"2.5", b"lengths", b"10"),
        *(b"began", b"34", b"wins", b"1", b"payload", b"x"),
    ]
    fields = {"format": 2, "entry": entry}
    for name in ("new-1700000000000-2.game", "new-1700000000000-10.game", "sent-1700000000000-1.game"):
        (tmp_path / name).write_bytes(msgpack.packb(fields, use_bin_type=True))
    there = spool(tmp_path)
    sent, new = there.found()
    assert list(sent) == [(1_700_000_000_000, 1)]
    assert [file.name for file in new] == ["new-1700000000000-2.game", "new-1700000000000-10.game"]
    header = Header(1, (3, 4), 10, 1234, ("c", "d"), Episodes((2.5,), (10,), (1200,), (True,)))
    for file in (*sent.values(), *new):
        assert there.read(file) == (header, b"x")


@pytest.mark.parametrize("other", [1, 3])
def test_a_file_of_another_format_is_kept_and_its_game_counts_as_dropped(spool, tmp_path, caplog, other):
    """As version 0.1 wrote it, or a later version than this one."""
    there = spool(tmp_path)
    fields = {"format": other, "header": [3, 1, 10, 1, 1234, "c", False], "payload": b"x"}
    (tmp_path / "new-7-1.game").write_bytes(codec.encode(fields))
    (tmp_path / "sent-6-1.game").write_bytes(codec.encode(fields))
    there.write(HEADER, b"of this version")
    delivery = Delivery(spool=there)
    assert (delivery.queued, delivery.entries_to_resend()) == (3, [])
    delivery.begin(7)
    assert [entry.content for entry in delivery.number()] == [(HEADER, b"of this version")]
    assert (delivery.queued, delivery.lost) == (1, 2)
    kept = [tmp_path / f"{name}.game.format-{other}" for name in ("new-7-1", "sent-6-1")]
    assert sorted(tmp_path.glob("*.format-*")) == kept
    assert [file.read_bytes() for file in kept] == [codec.encode(fields)] * 2
    for line, file in zip(caplog.messages, reversed(kept), strict=True):
        assert f"format: {other}, expected 2: another version of broodmind wrote this game; kept as {file.name}" in line
    assert there.found()[1] == []  # they are no games of this version's any more


@pytest.mark.parametrize("damaged", [b"", b"junk", b"\x80", codec.encode({"format": 2, "entry": 1})])
def test_a_file_that_is_not_a_spooled_game_is_refused(tmp_path, damaged):
    (tmp_path / "x").write_bytes(damaged)
    with pytest.raises(WireError):
        read(tmp_path / "x")


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"entry": "3 1 10"}, "entry: str, expected a list of an entry's fields"),
        ({"entry": [b"format", 2]}, "entry: list, expected a list of an entry's fields"),
        ({"entry": [b"format", b"2"]}, "entry: fields b'format', expected format epoch"),
        ({"payload": "text"}, r"unknown fields \['payload'\]"),
        ({"format": 3}, "format: 3, expected 2: another version of broodmind wrote this game"),
    ],
)
def test_an_invalid_spooled_game_is_refused_with_what_is_wrong(tmp_path, changed, message):
    fields = {"format": 2, "entry": HEADER.to_bytes(b"x")}
    (tmp_path / "x").write_bytes(codec.encode(fields | changed))
    with pytest.raises(WireError, match=message):
        read(tmp_path / "x")


def test_half_written_files_are_removed(spool, tmp_path):
    (tmp_path / "new-1-1.tmp").write_bytes(b"half")
    assert spool(tmp_path).found() == ({}, [])
    assert not list(tmp_path.glob("*.tmp"))


def test_a_folder_belongs_to_one_process_at_a_time(spool, tmp_path):
    first = spool(tmp_path)
    with pytest.raises(ConfigError, match="is used by another process"):
        spool(tmp_path)
    first.close()
    spool(tmp_path)


def test_a_process_takes_the_first_name_that_no_running_process_has(tmp_path):
    spools = [first_free(tmp_path, "host") for _ in range(3)]
    assert [name for name, _ in spools] == ["host-000", "host-001", "host-002"]
    spools[1][1].close()
    spools.append(first_free(tmp_path, "host"))
    assert spools[-1][0] == "host-001"
    for _, each in spools:
        each.close()


def test_a_folder_that_cannot_be_made_is_refused_and_no_name_is_free_in_it(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match=r"^spool_dir: .*file/spool: .*, expected a folder that can be written"):
        Spool(tmp_path / "file" / "spool")
    with pytest.raises(ConfigError, match=r"^spool_dir: .*file, expected a folder .* with a free name in it"):
        first_free(tmp_path / "file", "host")


def test_a_file_that_cannot_be_deleted_is_logged_without_raising(spool, tmp_path, caplog):
    there = spool(tmp_path)
    (tmp_path / "sent-1-1.game").mkdir()  # no file: it cannot be unlinked
    there.discard(tmp_path / "sent-1-1.game")
    assert "file not removed" in caplog.text
    assert "sent-1-1.game" in caplog.text
