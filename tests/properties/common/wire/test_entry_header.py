"""Headers of any numbers arrive as they were sent, and any bytes are a header or refused by an error of ours."""

from contextlib import suppress
from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st
from support.payloads import measured

from broodmind.common.errors import WireError
from broodmind.common.own_metrics import of_games
from broodmind.common.wire.entry_header import COUNT_MAX, GAMES_MAX, NO_EPISODES, Episodes, Header, parse_entry

counts = st.integers(0, COUNT_MAX - 1)
names = st.text("aZ0_./-", min_size=1, max_size=64).filter(lambda name: name[0] in "aZ0_")
own_metrics = st.dictionaries(names, st.floats(-1e15, 1e15), max_size=5).map(lambda own: tuple(sorted(own.items())))
commits = st.text("0123456789abcdef", max_size=64)


@st.composite
def labels(draw, games):
    """Of each game; nothing where no game has any."""
    texts = st.text(min_size=1, max_size=32).filter(str.isprintable)
    names = draw(st.lists(texts, max_size=4, unique=True))
    found = [tuple(sorted((name, draw(texts)) for name in names if draw(st.booleans()))) for _ in range(games)]
    return tuple(found) if any(found) else ()


@st.composite
def headers(draw):
    """Any header that can be sent."""
    created, games = draw(counts), draw(st.integers(0, 4))
    ages = draw(st.lists(st.integers(0, min(created, 10**9)), min_size=games, max_size=games))
    episodes = NO_EPISODES
    if games:
        returns = st.floats(-1e15, 1e15)
        episodes = Episodes(
            tuple(draw(st.lists(returns, min_size=games, max_size=games))),
            tuple(draw(st.lists(st.integers(1, COUNT_MAX - 1), min_size=games, max_size=games))),
            tuple(created - age for age in ages),
            draw(st.none() | st.lists(st.booleans(), min_size=games, max_size=games).map(tuple)),
            of_games(draw(st.lists(own_metrics, min_size=games, max_size=games))),
            draw(labels(games)),
        )
    low, high = sorted(draw(st.tuples(counts, counts) | counts.map(lambda version: (version, version))))
    first = draw(commits)
    return Header(
        draw(counts),
        (low, high),
        draw(counts),
        created,
        (first, first if low == high else draw(commits)),
        episodes,
        draw(st.none() | st.integers(0, created)),
        draw(counts),
        draw(st.booleans()),
    )


@st.composite
def evaluations(draw):
    """Any header of games that evaluate a version."""
    header = draw(headers().filter(lambda header: header.games > 0))
    return replace(
        header, versions=header.versions[:1] * 2, commits=header.commits[:1] * 2, imported=False, evaluation=True
    )


@settings(max_examples=500)
@given(headers(), st.binary(max_size=20))
def test_a_header_arrives_as_it_was(header, payload):
    raw = header.to_bytes(payload)
    assert parse_entry(raw) == (header, payload)
    assert [str(part).encode() if not isinstance(part, bytes) else part for part in header.fields(payload)] == raw


@settings(max_examples=300)
@given(evaluations())
def test_the_header_of_an_evaluation_arrives_as_it_was(header):
    assert parse_entry(header.to_bytes(b"")) == (header, b"")


@settings(max_examples=1000)
@given(
    headers() | evaluations(),
    st.integers(0, 40),
    st.binary(max_size=9) | st.text("0123456789 .-e", max_size=9).map(str.encode),
)
def test_whatever_one_part_of_an_entry_is_it_is_taken_or_refused(header, at, part):
    raw = header.to_bytes(b"" if header.evaluation else b"payload")
    raw[at % len(raw)] = part
    with suppress(WireError):
        taken, payload = parse_entry(raw)
        assert parse_entry(taken.to_bytes(payload)) == (taken, payload)


def test_the_most_games_there_may_be_take_a_bounded_amount_of_memory():
    header = Header(1, (1, 1), 10**6, 10**12, episodes=Episodes((1.0,), (1,), (10**12,), (True,)))
    short = {b"games": b"%d" % GAMES_MAX, **dict.fromkeys((b"returns", b"lengths", b"began", b"wins"), b"1")}
    raw = header.to_bytes(b"")
    for at in range(0, len(raw), 2):
        if raw[at] in short:
            raw[at + 1] = short[raw[at]] if raw[at] == b"games" else b" ".join([short[raw[at]]] * GAMES_MAX)
    peak, raised = measured(lambda: parse_entry(raw))
    assert raised is None
    assert peak < 32 << 20
    labelled = replace(header, episodes=replace(header.episodes, labels=((("map", "x"),),))).to_bytes(b"")
    at = labelled.index(b"labels") + 1
    labelled[at] = b"[" * (64 << 20)
    peak, raised = measured(lambda: parse_entry(labelled))
    assert raised is not None
    assert peak < 8 << 20
    blank = [b" " * (4 << 20) if name == b"returns" else value for name, value in zip([b"", *raw], raw, strict=False)]
    peak, raised = measured(lambda: parse_entry(blank))
    assert raised is not None
    assert peak < 8 << 20


def test_a_header_that_is_replaced_is_sent_as_such():
    header = Header(1, (1, 1), 1, 10)
    assert parse_entry(replace(header, steps=7).to_bytes(b""))[0].steps == 7
