"""TensorBoard's event files, read back with TensorBoard where it is installed, and record by record."""

from __future__ import annotations

import struct

import pytest
from support.event_files import records, scalars

from broodmind.deploy.recording.event_file import EventFile, masked_crc


@pytest.fixture
def file(tmp_path):
    file = EventFile(tmp_path / "tensorboard")
    yield file
    file.close()


def test_the_checksum_is_that_of_the_published_test_vectors():
    """RFC 3720, B.4, before the mask of TFRecords."""

    def unmasked(data):
        rotated = (masked_crc(data) - 0xA282EAD8) & 0xFFFFFFFF
        return (rotated >> 17 | rotated << 15) & 0xFFFFFFFF

    assert unmasked(b"\0" * 32) == 0x8A9136AA
    assert unmasked(b"\xff" * 32) == 0x62A8AB43
    assert unmasked(bytes(range(32))) == 0x46DD794E


def test_points_are_read_back_with_their_step_and_their_time(file):
    file.scalars({"rollout/ep_rew_mean": 0.5, "time/fps": 12345.0}, step=2048, time_s=1.7e9 + 0.25)
    file.scalars({"rollout/ep_rew_mean": -1.5}, step=300_000_000_000, time_s=1.7e9 + 5)
    file.flush()
    assert scalars(file.path.parent) == {
        "rollout/ep_rew_mean": [(2048, 0.5, 1.7e9 + 0.25), (300_000_000_000, -1.5, 1.7e9 + 5)],
        "time/fps": [(2048, 12345.0, 1.7e9 + 0.25)],
    }


def test_a_number_beyond_the_range_of_the_file_becomes_its_largest(file):
    file.scalars({"custom/x": 1e300, "custom/y": -1e300}, step=1, time_s=1.0)
    file.flush()
    assert {tag: points[0][1] for tag, points in scalars(file.path.parent).items()} == {
        "custom/x": pytest.approx(3.4e38, rel=0.01),
        "custom/y": pytest.approx(-3.4e38, rel=0.01),
    }


def test_points_of_a_restarted_step_are_void_in_tensorboard(file):
    for step in (1, 2, 3):
        file.scalars({"a": float(step)}, step, 1.0)
    file.restart(2)
    file.scalars({"a": 20.0}, 2, 2.0)
    file.flush()
    reader = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    read = reader.EventAccumulator(str(file.path))
    read.Reload()
    assert [(point.step, point.value) for point in read.Scalars("a")] == [(1, 1.0), (2, 20.0)]


def test_each_record_has_a_checksum_of_its_length_and_of_its_content(file):
    file.scalars({"a": 1.0}, 1, 1.0)
    file.flush()
    assert len(records(file.path)) == 2  # with the version of the format
    raw = bytearray(file.path.read_bytes())
    raw[-6] ^= 1
    file.path.write_bytes(raw)
    with pytest.raises(AssertionError, match="checksum"):
        records(file.path)


def test_the_first_record_names_the_version_of_the_format(file):
    file.flush()
    (first,) = records(file.path)
    assert b"brain.Event:2" in first
    assert struct.unpack("<d", first[1:9])[0] > 1.7e9
