from dataclasses import replace

import numpy as np
import pytest
from support.runs import SPEC, make_header, trajectory

from broodmind.common.errors import WireError
from broodmind.common.wire import codec
from broodmind.common.wire.trajectory import decode_trajectory, encode_trajectory, payload_fields
from broodmind.learner.ingest import cached_layout_decoder as module
from broodmind.learner.ingest.cached_layout_decoder import CachedLayoutDecoder, PayloadLayout


def sent(seed=0, actor="a", *, versions=(1, 1), imported=False):
    played = trajectory(seed)
    if versions[0] < versions[1]:
        played = replace(played, version_offsets=np.zeros(played.valid.shape, np.int32))
    header = make_header(1, 1, played.steps, played.episodes, 10**12, imported=imported)
    return encode_trajectory(played, actor, SPEC), replace(header, versions=versions), actor


@pytest.fixture
def long_way(monkeypatch):
    """Payloads that were decoded as the definition does."""
    taken = []

    def decode(payload, *rest):
        taken.append(payload)
        return decode_trajectory(payload, *rest)

    monkeypatch.setattr(module, "decode_trajectory", decode)
    return taken


def test_only_the_first_payload_of_its_shapes_is_unpacked_whoever_sent_it(long_way):
    decoder, first = CachedLayoutDecoder(SPEC), sent()
    decoder.decode(*first)
    for actor in ("a", "b", "a-longer-name"):
        payload, header, _ = sent(actor=actor)
        np.testing.assert_array_equal(decoder.decode(payload, header, actor).rewards, trajectory(0).rewards)
    assert long_way == [first[0]]


def test_a_payload_of_another_actor_is_refused_although_its_layout_is_known(long_way):
    decoder = CachedLayoutDecoder(SPEC)
    decoder.decode(*sent())
    payload, header, _ = sent(actor="b")
    with pytest.raises(WireError, match="actor: 'b', expected 'a'"):
        decoder.decode(payload, header, "a")
    assert len(long_way) == 2


def test_a_payload_whose_frame_differs_in_one_byte_is_unpacked(long_way):
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


def test_imported_play_has_the_shapes_of_any_other(long_way):
    decoder = CachedLayoutDecoder(SPEC)
    for imported in (True, False, True, False):
        decoder.decode(*sent(imported=imported))
    assert len(long_way) == 1


def test_play_of_several_versions_has_shapes_of_its_own(long_way):
    decoder, kinds = CachedLayoutDecoder(SPEC), [(1, 1), (1, 2)]
    for versions in (*kinds, *kinds, *kinds):
        offsets = decoder.decode(*sent(versions=versions)).version_offsets
        assert (offsets is None) == (versions[0] == versions[1])
    assert len(long_way) == 2


@pytest.mark.parametrize("known", [False, True])
@pytest.mark.parametrize(
    ("sent_with", "said", "error"),
    [
        ((1, 1), (1, 2), "^version_offsets: missing, expected them where the entry's versions differ"),
        ((1, 2), (1, 1), "^version_offsets: there, expected them where the entry's versions differ, and only there"),
    ],
)
def test_versions_by_step_are_there_exactly_where_versions_differ(known, sent_with, said, error):
    decoder = CachedLayoutDecoder(SPEC)
    payload, header, actor = sent(versions=sent_with)
    if known:
        decoder.decode(payload, header, actor)
    with pytest.raises(WireError, match=error):
        decoder.decode(payload, replace(header, versions=said), actor)


def test_a_column_that_is_unknown_is_refused_by_name(long_way):
    decoder, (payload, header, actor) = CachedLayoutDecoder(SPEC), sent()
    decoder.decode(payload, header, actor)
    fields = {**payload_fields(trajectory(0), actor, SPEC), "mood": np.zeros(3, np.float32)}
    with pytest.raises(WireError, match=r"^payload: missing fields \[\], unknown fields \['mood'\]"):
        decoder.decode(codec.encode(fields), header, actor)


def test_the_number_of_remembered_layouts_is_bounded(long_way):
    decoder = CachedLayoutDecoder(SPEC, layouts_max=1)
    for high in (1, 1, 2, 1, 1):  # two kinds of shapes, of which one is remembered
        decoder.decode(*sent(versions=(1, high)))
    assert len(long_way) == 3


def test_what_is_encoded_in_another_way_goes_the_long_way_each_time_and_is_not_remembered(long_way):
    """MessagePack has two forms for a short text; the payload is right in either."""
    decoder, (payload, header, actor) = CachedLayoutDecoder(SPEC, layouts_max=1), sent()
    assert payload.endswith(b"\xa1a")
    longer = payload[:-2] + b"\xd9\x01a"
    for each in (payload, longer, longer, payload):
        np.testing.assert_array_equal(decoder.decode(each, header, actor).rewards, trajectory(0).rewards)
    assert long_way == [payload, longer, longer]
