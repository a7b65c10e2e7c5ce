import numpy as np
import pytest
from support.runs import SPEC, trajectory

from broodmind.common.errors import WireError
from broodmind.common.wire.trajectory import Header, decode_trajectory, encode_trajectory
from broodmind.learner.ingest import cached_layout_decoder as module
from broodmind.learner.ingest.cached_layout_decoder import CachedLayoutDecoder, PayloadLayout


def sent(seed=0, actor="a", *, imported=False):
    played = trajectory(seed)
    header = Header(1, 1, played.steps, played.games, 10**12, imported=imported)
    return encode_trajectory(played, actor, SPEC), header, actor


@pytest.fixture
def long_way(monkeypatch):
    """Payloads that were decoded as the definition does."""
    taken = []

    def decode(payload, *rest):
        taken.append(payload)
        return decode_trajectory(payload, *rest)

    monkeypatch.setattr(module, "decode_trajectory", decode)
    return taken


def test_only_the_first_of_its_shapes_goes_the_long_way_whoever_sent_it(long_way):
    decoder, first = CachedLayoutDecoder(SPEC), sent()
    decoder.decode(*first)
    for actor in ("a", "b", "a-longer-name"):
        payload, header, _ = sent(actor=actor)
        np.testing.assert_array_equal(decoder.decode(payload, header, actor).rewards, trajectory(0).rewards)
    assert long_way == [first[0]]


def test_anothers_payload_is_refused_though_its_shapes_are_known(long_way):
    decoder = CachedLayoutDecoder(SPEC)
    decoder.decode(*sent())
    payload, header, _ = sent(actor="b")
    with pytest.raises(WireError, match="actor: 'b', expected 'a'"):
        decoder.decode(payload, header, "a")
    assert len(long_way) == 2


def test_a_frame_that_differs_in_one_byte_goes_the_long_way(long_way):
    decoder = CachedLayoutDecoder(SPEC)
    payload, header, actor = sent()
    decoder.decode(payload, header, actor)
    layout = PayloadLayout.of(trajectory(0), SPEC)
    arrays = {at for *_, start, stop in layout.places for at in range(start, stop)}
    frames = [at for at in range(len(payload)) if at not in arrays]
    assert len(frames) > 100
    for at in frames:
        long_way.clear()
        changed = payload[:at] + bytes([payload[at] ^ 1]) + payload[at + 1 :]
        with pytest.raises(WireError):
            decoder.decode(changed, header, actor)
        assert long_way == [changed]


def test_imported_play_is_known_apart(long_way):
    """It may leave out how its games ended, and no other may."""
    decoder = CachedLayoutDecoder(SPEC)
    for imported in (True, False, True, False):
        decoder.decode(*sent(imported=imported))
    assert len(long_way) == 2


def test_so_many_shapes_are_remembered_and_no_more(long_way):
    decoder = CachedLayoutDecoder(SPEC, layouts_max=1)
    for imported in (True, True, False, True, True):  # two kinds of shapes, of which one is remembered
        decoder.decode(*sent(imported=imported))
    assert len(long_way) == 3
