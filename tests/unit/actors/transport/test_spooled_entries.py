"""The files of entries, by a spool in a folder of the test's."""

from __future__ import annotations

import pytest
from support.runs import make_header

from broodmind.actors.client.spool import Spool
from broodmind.actors.transport.entry import Entry, State
from broodmind.actors.transport.spooled_entries import SpooledEntries

HEADER = make_header(3, 1, 10, 2, 1234)


def new_entry():
    return Entry(4, (HEADER, b"play"), games=2)


@pytest.fixture
def files(tmp_path):
    files = SpooledEntries(Spool(tmp_path))
    yield files
    files.release([])


def names(folder):
    return sorted(path.name for path in folder.glob("*.game"))


def test_without_a_spool_entries_stay_in_memory():
    files, entry = SpooledEntries(None), new_entry()
    files.write(entry)
    entry.entry_id = (7, 1)
    assert files.number(entry)
    files.unnumber(entry)
    files.discard(entry)
    files.release([entry])
    assert (entry.file, files.load(entry), files.of_earlier_process()) == (None, True, ([], []))


def test_a_file_follows_its_entry(files, tmp_path):
    entry = new_entry()
    files.write(entry)
    (queued_as,) = names(tmp_path)
    entry.entry_id = (7, 1)
    assert files.number(entry)
    assert names(tmp_path) == ["sent-7-1.2-games.game"]
    files.unnumber(entry)
    assert names(tmp_path) == [queued_as]
    entry.content = None
    assert files.load(entry)
    assert entry.content == (HEADER, b"play")
    files.discard(entry)
    assert (names(tmp_path), entry.file) == ([], None)


def test_an_entry_whose_file_is_gone_cannot_be_loaded(files, tmp_path, caplog):
    entry = new_entry()
    files.write(entry)
    entry.content = None
    (tmp_path / names(tmp_path)[0]).unlink()
    assert not files.load(entry)
    assert "spooled game not readable" in caplog.text


def test_a_file_that_cannot_be_named_after_its_id_is_removed(files, tmp_path):
    entry = new_entry()
    files.write(entry)
    (tmp_path / "sent-7-1.2-games.game").mkdir()
    entry.entry_id = (7, 1)
    assert not files.number(entry)
    assert (entry.file, names(tmp_path)) == (None, ["sent-7-1.2-games.game"])


def test_the_files_of_an_earlier_process_become_entries(files, tmp_path):
    sent, queued, acknowledged = new_entry(), new_entry(), new_entry()
    for number, entry in enumerate((sent, queued, acknowledged)):
        files.write(entry)
        if entry is not queued:
            entry.entry_id = (7, number)
            files.number(entry)
    files.release([acknowledged])
    later = SpooledEntries(Spool(tmp_path))
    (resent,), (new,) = later.of_earlier_process()
    assert (resent.state, resent.entry_id, resent.games, resent.content) == (State.SENT, (7, 0), 2, None)
    assert (new.state, new.entry_id, new.games, new.queued_as) == (State.QUEUED, None, 2, queued.file)
    assert new.size > len(b"play")
    later.release([])
