"""npz files of somebody else's: read if they hold numbers, refused by name otherwise, and never trusted."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import zipfile

import numpy as np
import pytest
from numpy.lib import format as npy

from broodmind.common.errors import WireError
from broodmind.common.wire import npz
from broodmind.common.wire.npz import read_npz


def header_only(shape, dtype=np.float32, tail=b""):
    """A member whose header declares more than is there."""
    buffer = io.BytesIO()
    npy.write_array_header_1_0(
        buffer, {"shape": shape, "fortran_order": False, "descr": npy.dtype_to_descr(np.dtype(dtype))}
    )
    return buffer.getvalue() + tail


def with_header(text):
    padded = text.encode().ljust(118) + b"\n"
    return npy.magic(1, 0) + len(padded).to_bytes(2, "little") + padded


def zipped(path, members, compression=zipfile.ZIP_DEFLATED):
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, data in members:
            archive.writestr(name, data)
    return path


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_files_written_by_numpy_are_read(tmp_path, save):
    arrays = {
        "a": np.arange(6, dtype=np.int64).reshape(2, 3),
        "f": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
        "big": np.arange(3, dtype=">f4"),
        "none": np.zeros((0, 15), np.float32),
        "one": np.float64(3),
        "policy/w0": np.ones(2, np.float32),
    }
    save(tmp_path / "x.npz", **arrays)
    found = read_npz(tmp_path / "x.npz")
    assert found.keys() == arrays.keys()
    for name, array in arrays.items():
        np.testing.assert_array_equal(found[name], array)
        assert found[name].dtype == np.asarray(array).dtype


def test_only_the_requested_arrays_are_read(tmp_path):
    np.savez(tmp_path / "x.npz", a=np.ones(2), o=np.array([object()], object))
    assert read_npz(tmp_path / "x.npz", ["a", "b"]).keys() == {"a"}


class Executed:
    def __reduce__(self):
        return (os.mkdir, (os.environ["BROODMIND_TEST_EXECUTED"],))


def test_a_pickled_object_is_refused_and_not_executed(tmp_path, monkeypatch):
    trace = tmp_path / "executed"
    monkeypatch.setenv("BROODMIND_TEST_EXECUTED", str(trace))
    np.savez(tmp_path / "x.npz", states=np.array([Executed()], object))
    with pytest.raises(WireError, match=r"states.*object.*expected numbers"):
        read_npz(tmp_path / "x.npz")
    assert not trace.exists()
    with np.load(tmp_path / "x.npz", allow_pickle=True) as loaded:
        loaded["states"]
    assert trace.exists()  # it would have been


@pytest.mark.parametrize("shape", [(1 << 40,), (1 << 20, 1 << 20), (-1, -4), (3,), (1 << 62, 1 << 62)])
def test_a_shape_larger_than_the_data_is_refused_without_allocating_it(tmp_path, shape):
    path = zipped(tmp_path / "x.npz", [("states.npy", header_only(shape, tail=b"1234"))])
    with pytest.raises(WireError, match="states"):
        read_npz(path)


def test_a_zip_bomb_is_refused_within_the_memory_limit(tmp_path):
    """In a process of its own, whose memory is measured."""
    whole = b"\0" * (npz.UNPACKED_BYTES_MAX * 4)
    path = zipped(tmp_path / "x.npz", [("states.npy", header_only((len(whole) // 4,)) + whole)])
    del whole
    assert path.stat().st_size < npz.FILE_BYTES_MAX
    code = (
        "import resource, sys, pathlib\n"
        "from broodmind.common.wire.npz import read_npz\n"
        "from broodmind.common.errors import WireError\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "try:\n    read_npz(pathlib.Path(sys.argv[1]))\n"
        "except WireError as error:\n    print(error)\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)\n"
    )
    done = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=True)
    message, kilobytes = done.stdout.splitlines()
    assert "bytes unpacked, expected at most" in message
    assert int(kilobytes) < 8 * 1024


def test_many_members_share_one_limit(tmp_path):
    part = np.zeros(npz.UNPACKED_BYTES_MAX // 2 // 8)
    np.savez_compressed(tmp_path / "x.npz", a=part, b=part[:-100], c=part)
    with pytest.raises(WireError, match=r"'c': .* bytes unpacked"):
        read_npz(tmp_path / "x.npz")


def test_a_wrong_size_in_the_zip_directory_is_refused(tmp_path):
    path = zipped(tmp_path / "x.npz", [("a.npy", header_only((100,), np.float64) + b"\0" * 800)])
    data = bytearray(path.read_bytes())
    at = data.rindex(b"PK\x01\x02") + 24  # the unpacked size
    data[at : at + 4] = (140).to_bytes(4, "little")
    path.write_bytes(data)
    with pytest.raises(WireError):
        read_npz(path)


def test_a_member_name_is_not_used_as_a_path(tmp_path):
    outside = tmp_path / "outside.npy"
    inside = tmp_path / "inside"
    inside.mkdir()
    path = zipped(
        inside / "x.npz", [("../outside.npy", header_only((1,)) + b"1234"), ("/etc/a.npy", header_only((0,)))]
    )
    assert read_npz(path).keys() == {"../outside", "/etc/a"}
    assert not outside.exists()
    assert [each.name for each in inside.iterdir()] == ["x.npz"]


@pytest.mark.parametrize(
    ("members", "expected"),
    [
        ([("a.npy", b"no array")], "magic"),
        ([("a.npy", b"")], "file"),
        ([("a.npy", with_header("__import__('os').system('true')"))], "file"),
        ([("a.npy", with_header("(" * 110))], "file"),
        ([("a.npy", header_only((1,), np.dtype([("x", "f4")])) + b"1234")], "expected numbers"),
        ([("a.npy", header_only((1,), np.dtype("M8[s]")) + b"12345678")], "expected numbers"),
        ([("a.npy", header_only((1,), np.dtype("V4")) + b"1234")], "expected numbers"),
        ([("a.npy", header_only((1,), np.dtype("U1")) + b"1234")], "expected numbers"),
        ([("a.npy", npy.magic(3, 0) + header_only((1,))[8:])], "npy format"),
        ([("a.npy", header_only((0,))), ("a", header_only((0,)))], "twice"),
        ([(f"{number}.npy", header_only((0,))) for number in range(65)], "more than 64"),
    ],
)
def test_a_member_that_is_not_a_numeric_array_is_refused(tmp_path, members, expected):
    with pytest.raises(WireError, match=expected):
        read_npz(zipped(tmp_path / "x.npz", members))


def test_what_is_not_a_plain_file_is_refused_unopened(tmp_path):
    os.mkfifo(tmp_path / "pipe")  # opening it would wait for ever
    for path, expected in (
        (tmp_path / "pipe", "not a plain file"),
        (tmp_path, "not a plain"),
        (tmp_path / "x", "missing"),
    ):
        with pytest.raises(WireError, match=expected):
            read_npz(path)


def test_a_file_that_is_too_long_is_refused(tmp_path):
    with (tmp_path / "x.npz").open("wb") as file:
        file.truncate(npz.FILE_BYTES_MAX + 1)
    with pytest.raises(WireError, match="more than"):
        read_npz(tmp_path / "x.npz")


@pytest.mark.parametrize("compression", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_files_with_any_byte_changed_or_any_end_missing_are_read_or_refused(tmp_path, compression):
    """Whatever is left is either read as it was or refused; nothing else comes out."""
    rng = np.random.default_rng(3)
    good = header_only((4, 3), np.float32) + rng.standard_normal((4, 3)).astype(np.float32).tobytes()
    path = zipped(tmp_path / "x.npz", [("a.npy", good)], compression)
    whole, expected = path.read_bytes(), read_npz(path)["a"]
    damaged = [whole[:length] for length in range(0, len(whole), 3)]
    for at in range(len(whole)):
        changed = bytearray(whole)
        changed[at] ^= 1 << rng.integers(8)
        damaged.append(bytes(changed))
    refused = 0
    for data in damaged:
        path.write_bytes(data)
        try:
            found = read_npz(path)
        except WireError:
            refused += 1
            continue
        for array in found.values():
            assert array.size == expected.size
    assert refused > len(damaged) // 2


def test_a_file_that_cannot_be_read_is_refused_by_the_systems_reason(tmp_path, monkeypatch):
    np.savez(tmp_path / "x.npz", a=np.ones(2))

    def broken_disk(*_):
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(type(tmp_path), "open", broken_disk)
    with pytest.raises(WireError, match="file: Input/output error, expected a readable npz"):
        read_npz(tmp_path / "x.npz")
