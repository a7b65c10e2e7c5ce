"""A file that is read while another process appends to it."""

from __future__ import annotations

import json

import pytest

from broodmind.deploy.recording.tail import Tail


@pytest.fixture
def path(tmp_path):
    return tmp_path / "lines.jsonl"


def add(path, *numbers, end="\n"):
    with path.open("a") as file:
        file.write("\n".join(json.dumps({"n": number}) for number in numbers) + end)


def numbers(lines):
    return [line["n"] for line in lines]


def test_each_line_is_read_once(path):
    tail = Tail(path)
    assert tail.read(100) == []  # there is no file yet
    add(path, 1, 2)
    assert numbers(tail.read(100)) == [1, 2]
    assert tail.read(100) == []
    add(path, 3)
    assert numbers(tail.read(100)) == [3]
    assert not tail.is_rewritten


def test_a_line_is_read_once_it_is_whole(path):
    tail = Tail(path)
    add(path, 1)
    add(path, 23, end="")
    assert numbers(tail.read(100)) == [1]
    add(path, end="\n")
    assert numbers(tail.read(100)) == [23]


def test_a_call_reads_no_more_than_so_many_bytes_but_at_least_a_line(path):
    add(path, *range(10))
    tail = Tail(path)
    assert numbers(tail.read(20)) == [0, 1]
    add(path, 10**40)
    for _ in range(4):
        tail.read(20)
    assert numbers(tail.read(20)) == [10**40]


def test_another_reader_goes_on_from_a_position(path):
    add(path, 1, 2)
    first = Tail(path)
    first.read(100)
    add(path, 3)
    assert numbers(Tail(path, first.position).read(100)) == [3]


@pytest.mark.parametrize("text", ["", '{"n": 1}\n', '{"n": 1}\n{"n": 7}\n{"n": 8}\n', None])
def test_a_file_that_was_cut_replaced_or_removed_is_noticed(path, text):
    add(path, 1, 2)
    tail = Tail(path)
    tail.read(100)
    path.write_text(text) if text is not None else path.unlink()
    assert tail.is_rewritten


def test_what_is_no_object_is_skipped(path):
    path.write_text('{"n": 1}\nnonsense\n[2]\n{"n": 3}\n')
    assert numbers(Tail(path).read(100)) == [1, 3]
