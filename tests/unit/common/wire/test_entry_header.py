"""The header of an entry: as it is written, as it is read, and every way in which it can be wrong."""

from __future__ import annotations

from dataclasses import replace

import pytest

from broodmind.common.errors import WireError
from broodmind.common.wire.entry_header import COUNT_MAX, GAMES_MAX, NO_EPISODES, Episodes, Header, parse_entry

TIME = 1_700_000_000_000
GAMES = Episodes((1.5, -2.0), (12, 3), (TIME - 400, TIME - 30), (True, False))
HEADER = Header(3, (19, 21), 40, TIME, ("c19", "c21"), GAMES, TIME - 5000, 7)
WITHOUT_GAMES = replace(HEADER, versions=(20, 20), commits=("c20", "c20"), episodes=NO_EPISODES, open_since_ms=None)
LABELLED = replace(GAMES, labels=((("map", "Ladder"), ("opponent", "Terran")), (("map", "Ladder"),)))
EVALUATION = replace(HEADER, versions=(20, 20), commits=("c20", "c20"), episodes=LABELLED, evaluation=True)
PAYLOAD = b"12345"


def entry(header=HEADER, **changed):
    """The fields as Redis returns them, some with another value; None leaves a field out."""
    raw = header.to_bytes(PAYLOAD)
    fields = dict(zip([name.decode() for name in raw[::2]], raw[1::2], strict=True)) | changed
    return [part for name, value in fields.items() if value is not None for part in (name.encode(), value)]


def evaluation(**changed):
    """The fields of an entry of games that evaluate a version."""
    fields = dict(zip(EVALUATION.fields(b"")[::2], EVALUATION.to_bytes(b"")[1::2], strict=True))
    fields |= {name.encode(): value for name, value in changed.items()}
    return [part for pair in fields.items() for part in pair]


def test_what_is_counted_can_be_read_in_redis_cli():
    assert HEADER.to_bytes(PAYLOAD) == [
        *(b"format", b"2", b"epoch", b"3", b"versions", b"19 21", b"commits", b"c19 c21"),
        *(b"steps", b"40", b"bytes", b"5", b"games", b"2", b"time", b"1700000000000", b"open", b"5000"),
        *(b"overflow", b"7", b"returns", b"1.5 -2.0", b"lengths", b"12 3", b"began", b"400 30", b"wins", b"1 0"),
        *(b"payload", PAYLOAD),
    ]


def test_a_header_without_games_has_no_fields_for_them_and_one_version_stands_once():
    assert WITHOUT_GAMES.to_bytes(PAYLOAD) == [
        *(b"format", b"2", b"epoch", b"3", b"versions", b"20", b"commits", b"c20"),
        *(b"steps", b"40", b"bytes", b"5", b"games", b"0", b"time", b"1700000000000", b"open", b""),
        *(b"overflow", b"7", b"payload", PAYLOAD),
    ]


def test_labels_and_evaluations_can_be_read_in_redis_cli():
    assert EVALUATION.to_bytes(b"")[-8:] == [
        *(b"wins", b"1 0", b"labels", b'{"map":"Ladder","opponent":["Terran",null]}', b"evaluation", b"1"),
        *(b"payload", b""),
    ]


def test_an_evaluation_is_read_as_it_was_written():
    assert parse_entry(EVALUATION.to_bytes(b"")) == (EVALUATION, b"")
    assert EVALUATION.stamped(250, 9).evaluation
    assert EVALUATION.stamped(250, 9).episodes.labels == LABELLED.labels


@pytest.mark.parametrize("value", [b"", b"0", b"yes"])
def test_an_evaluation_says_so_with_a_one(value):
    with pytest.raises(WireError, match=r"^entry: evaluation is .*, expected 1, or no such field"):
        parse_entry(evaluation(evaluation=value))


def test_an_evaluation_is_of_one_version_and_has_no_payload():
    for change in ({"versions": b"19 20", "commits": b"a b"}, {"payload": b"x", "bytes": b"1"}):
        with pytest.raises(WireError, match=r"^entry: versions are .*, expected one version and no payload"):
            parse_entry(evaluation(**change))


def test_games_of_two_sides_keep_their_labels():
    assert (GAMES + LABELLED).labels == ((), (), *LABELLED.labels)
    assert (LABELLED + GAMES).labels == (*LABELLED.labels, (), ())
    assert (GAMES + GAMES).labels == ()


@pytest.mark.parametrize("imported", [False, True])
@pytest.mark.parametrize(
    "header",
    [
        HEADER,
        WITHOUT_GAMES,
        replace(HEADER, episodes=replace(GAMES, wins=None)),
        replace(HEADER, episodes=replace(GAMES, metrics=((("supply", 171.5),), (("a", -1.0), ("supply", 0.1))))),
        replace(HEADER, episodes=replace(GAMES, wins=None, metrics=((), (("a", 1.0),)))),
        replace(HEADER, episodes=LABELLED),
        replace(HEADER, commits=("", "")),
        replace(HEADER, commits=("", "c21")),
        replace(WITHOUT_GAMES, commits=("", "")),
        replace(HEADER, open_since_ms=TIME),
        Header(0, (0, 0), 0, 0),
        Header(*(COUNT_MAX - 1, (COUNT_MAX - 1, COUNT_MAX - 1), COUNT_MAX - 1, COUNT_MAX - 1), overflow=COUNT_MAX - 1),
    ],
)
def test_a_header_is_read_as_it_was_written(header, imported):
    header = replace(header, imported=imported)
    assert parse_entry(header.to_bytes(PAYLOAD)) == (header, PAYLOAD)


def test_as_many_games_as_may_end_in_one_entry_are_read():
    header = replace(HEADER, episodes=Episodes((1e15,) * GAMES_MAX, (1,) * GAMES_MAX, (TIME,) * GAMES_MAX))
    assert parse_entry(header.to_bytes(b""))[0].games == GAMES_MAX


def test_what_began_after_the_end_began_with_it():
    """As when the machine's clock was set back in between."""
    header = replace(HEADER, episodes=Episodes((1.0,), (2,), (TIME + 99,)), open_since_ms=TIME + 99)
    read, _ = parse_entry(header.to_bytes(PAYLOAD))
    assert (read.episodes.began_ms, read.open_since_ms) == ((TIME,), TIME)


@pytest.mark.parametrize("offset_ms", [-86_400_000, 0, 250])
def test_it_is_sent_with_the_servers_time_and_the_overflow_of_that_moment(offset_ms):
    sent = HEADER.stamped(offset_ms, 9)
    assert sent == replace(
        HEADER,
        created_ms=TIME + offset_ms,
        open_since_ms=TIME - 5000 + offset_ms,
        episodes=replace(GAMES, began_ms=(TIME - 400 + offset_ms, TIME - 30 + offset_ms)),
        overflow=9,
    )
    read, _ = parse_entry(sent.to_bytes(PAYLOAD))
    assert read == sent


def test_with_no_game_open_none_is_open_at_any_time():
    sent = WITHOUT_GAMES.stamped(250, 0)
    assert (sent.created_ms, sent.open_since_ms, sent.episodes) == (TIME + 250, None, NO_EPISODES)


# Its games.


def test_games_are_added_in_order():
    one, other = Episodes((1.0,), (2,), (3,), (True,)), Episodes((4.0,), (5,), (6,), (False,))
    assert one + other == Episodes((1.0, 4.0), (2, 5), (3, 6), (True, False))
    assert len(one + other) == 2


def test_whether_there_are_wins_is_said_by_those_that_have_games():
    one, other = Episodes((1.0,), (2,), (3,), (True,)), Episodes((4.0,), (5,), (6,))
    assert (one + other).wins is None
    assert one + NO_EPISODES == NO_EPISODES + one == one
    assert Episodes(wins=()) + other == other + Episodes(wins=()) == other


# What is no entry of this version.

NAMES = (
    "format epoch versions commits steps bytes games time open overflow returns lengths began wins metrics labels "
    r"imported payload \(returns, lengths, began, wins, metrics and labels where games ended; imported, or evaluation, "
    r"where it is\)"
)


@pytest.mark.parametrize(
    ("raw", "found"),
    [
        (None, "None"),
        ([], "None"),
        ([b"format"], "b'format'"),
        (entry()[:-1], "b'format epoch .*'"),
        ([*entry(), b"mood"], "b'format epoch .*'"),
        ([b"x" * 5000, b"1"], "b'x{120}'"),
        ([b"format", b"2"], "b'format'"),
        ([*entry(), b"mood", b"good"], "b'format epoch .*'"),
        ([*entry(), *entry()], "b'format epoch .*'"),
        ([*entry()[2:4], *entry()[:2], *entry()[4:]], "b'epoch format .*'"),
        (entry(epoch=None), "b'format versions .*'"),
        (entry(payload=None), "b'format epoch .*'"),
        (entry(returns=None), "b'format epoch .*'"),
        (entry(lengths=None), "b'format epoch .*'"),
        (entry(began=None), "b'format epoch .*'"),
        (entry(WITHOUT_GAMES, wins=b""), "b'format epoch .*'"),
        (entry(WITHOUT_GAMES, labels=b"{}"), "b'format epoch .*'"),
        (evaluation(imported=b"1"), "b'format epoch .*'"),
        (entry(replace(WITHOUT_GAMES, evaluation=True)), "b'format epoch .*'"),
    ],
)
def test_other_fields_are_refused_in_a_short_line_that_says_which_belong_there(raw, found):
    with pytest.raises(WireError, match=rf"^entry: fields {found}, expected {NAMES}$") as caught:
        parse_entry(raw)
    assert len(str(caught.value)) < 400


@pytest.mark.parametrize(
    ("raw", "error"),
    [
        (
            [b"v", b"3", b"e", b"1", b"c", b"", b"n", b"8", b"g", b"1", b"t", b"5", b"p", b"payload"],
            "entry: format 1, expected 2: its actor is of an older version of broodmind",
        ),
        ([b"v"], "entry: format 1, expected 2: its actor is of an older version of broodmind"),
        (entry(format=b"3"), "entry: format b'3', expected 2: its actor is of another version of broodmind"),
        (
            entry(format=b"x" * 999),
            f"entry: format b'{'x' * 38}, expected 2: its actor is of another version of broodmind",
        ),
        (
            [b"format", b"3", b"mood", b"good"],
            "entry: format b'3', expected 2: its actor is of another version of broodmind",
        ),
    ],
)
def test_another_format_is_refused_in_a_line_that_names_both(raw, error):
    with pytest.raises(WireError) as caught:
        parse_entry(raw)
    assert str(caught.value) == error


NUMBERS = ["epoch", "versions", "steps", "bytes", "games", "time", "open", "overflow"]


@pytest.mark.parametrize("name", NUMBERS)
@pytest.mark.parametrize("value", [b"x", b"1.0", b"-1", b"%d" % COUNT_MAX, b"9" * 9999, b"\xff", b"nan", b" "])
def test_a_number_that_is_none_is_refused_by_name(name, value):
    with pytest.raises(WireError, match=rf"^entry: {name} is b'.*, expected .* from 0 to 2\^53$") as caught:
        parse_entry(entry(**{name: value}))
    assert len(str(caught.value)) < 200


@pytest.mark.parametrize("name", [name for name in NUMBERS if name != "open"])
def test_a_number_that_is_empty_is_refused_by_name(name):
    with pytest.raises(WireError, match=rf"^entry: {name} is b'', expected "):
        parse_entry(entry(**{name: b""}))


@pytest.mark.parametrize(
    "value", [b"19 ", b" 19", b"19 20 21", b"19  21", b"19,21", b"19 x", b"-1 21", b"19 %d" % COUNT_MAX]
)
def test_versions_that_are_no_pair_are_refused(value):
    with pytest.raises(
        WireError, match=r"^entry: versions is b'.*', expected one number, or the lowest and the highest"
    ):
        parse_entry(entry(versions=value))


def test_the_highest_version_first_is_refused():
    with pytest.raises(WireError, match=r"^entry: versions are b'21 19', expected the lowest one first$"):
        parse_entry(entry(versions=b"21 19"))


@pytest.mark.parametrize(
    ("header", "value"),
    [
        (HEADER, b"C19 c21"),
        (HEADER, b"c19 x21"),
        (HEADER, b"c19 c20 c21"),
        (HEADER, b"a" * 65 + b" c21"),
        (WITHOUT_GAMES, b"c20 c20"),
        (WITHOUT_GAMES, b"x"),
        (WITHOUT_GAMES, b"a" * 65),
        (WITHOUT_GAMES, b"c20\n"),
        (WITHOUT_GAMES, b"\xff"),
    ],
)
def test_what_is_no_commits_id_is_refused(header, value):
    with pytest.raises(WireError, match=r"^entry: commits are b'.*, expected the id of each version's commit$"):
        parse_entry(entry(header, commits=value))


def test_another_size_of_the_payload_is_refused():
    with pytest.raises(WireError, match=r"^entry: bytes is 6, expected 5, the payload's$"):
        parse_entry(entry(bytes=b"6"))


@pytest.mark.parametrize(("header", "games"), [(HEADER, b"0"), (WITHOUT_GAMES, b"1")])
def test_games_without_their_fields_are_refused_and_fields_without_games(header, games):
    with pytest.raises(WireError, match=r"^entry: games is [01], expected returns, lengths and began if it is not 0"):
        parse_entry(entry(header, games=games))


def test_more_games_than_any_entry_has_are_refused():
    with pytest.raises(WireError, match=rf"^entry: games is {GAMES_MAX + 1}, expected at most {GAMES_MAX}$"):
        parse_entry(entry(games=b"%d" % (GAMES_MAX + 1)))


@pytest.mark.parametrize("name", ["returns", "lengths", "began"])
@pytest.mark.parametrize("value", [b"", b"1", b"1 2 3", b"1  2", b"1 x", b"x 1", b"1 ", b"1" * 65, b"\xff 1"])
def test_numbers_that_are_not_one_a_game_are_refused_by_name(name, value):
    with pytest.raises(WireError, match=rf"^entry: {name} are b'.*, expected 2 numbers, one a game$") as caught:
        parse_entry(entry(**{name: value}))
    assert len(str(caught.value)) < 120


@pytest.mark.parametrize("value", [b"nan 1", b"1 nan", b"inf 1", b"1 -inf", b"inf -inf", b"1.1e15 0", b"0 -1.1e15"])
def test_returns_that_are_not_finite_or_too_large_are_refused(value):
    with pytest.raises(WireError, match=r"^entry: returns are b'.*', expected finite ones of at most 1e\+15$"):
        parse_entry(entry(returns=value))


@pytest.mark.parametrize("value", [b"0 1", b"1 0", b"1 -1", b"1 %d" % COUNT_MAX])
def test_a_game_of_no_length_is_refused(value):
    with pytest.raises(WireError, match=r"^entry: lengths are b'.*', expected 1 to 2\^53$"):
        parse_entry(entry(lengths=value))


@pytest.mark.parametrize("value", [b"-1 0", b"0 -1", b"0 %d" % COUNT_MAX])
def test_a_game_that_began_after_its_end_is_refused(value):
    with pytest.raises(WireError, match=r"^entry: began are b'.*', expected milliseconds before time$"):
        parse_entry(entry(began=value))


@pytest.mark.parametrize("value", [b"", b"1", b"1 1 1", b"1 2", b"1 x", b"1  0", b"True False"])
def test_wins_that_are_not_one_a_game_are_refused(value):
    with pytest.raises(WireError, match=r"^entry: wins are b'.*', expected 2 of 0 or 1, one a game$"):
        parse_entry(entry(wins=value))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("returns", value) for value in (b"nan", b"inf", b"-inf", b"1.1e15", b"-1.1e15", b"", b"x", b"1 2")),
        *(("lengths", value) for value in (b"0", b"-1", b"%d" % COUNT_MAX, b"1.5", b"", b"x", b"1 2")),
        *(("began", value) for value in (b"-1", b"%d" % COUNT_MAX, b"1.5", b"", b"x", b"1 2")),
        *(("wins", value) for value in (b"2", b"", b"x", b"1 1", b"True")),
    ],
)
def test_the_fields_of_a_single_game_are_refused_by_name_too(name, value):
    one = replace(HEADER, episodes=Episodes((1.5,), (12,), (TIME - 400,), (True,)))
    assert parse_entry(entry(one))[0] == one
    with pytest.raises(WireError, match=rf"^entry: {name} are b'.*', expected "):
        parse_entry(entry(one, **{name: value}))


@pytest.mark.parametrize("value", [b"", b"0", b"declared", b"11"])
def test_another_mark_than_the_importers_is_refused(value):
    with pytest.raises(WireError, match=r"^entry: imported is b'.*', expected 1, or no such field$"):
        parse_entry(entry(replace(HEADER, imported=True), imported=value))


def test_games_own_metrics_stand_after_their_wins():
    raw = replace(HEADER, episodes=replace(GAMES, metrics=((("supply", 171.5),), ()))).to_bytes(PAYLOAD)
    assert raw[-6:] == [b"wins", b"1 0", b"metrics", b'{"supply":[171.5,null]}', b"payload", PAYLOAD]


def test_wrong_metrics_are_refused_and_so_are_metrics_without_games():
    with_metrics = replace(HEADER, episodes=replace(GAMES, metrics=((("a", 1.0),), ())))
    with pytest.raises(WireError, match="entry: metrics are"):
        parse_entry(entry(with_metrics, metrics=b'{"a":[1.0]}'))
    raw = [*entry(WITHOUT_GAMES, payload=None, metrics=b'{"a":[]}'), b"payload", PAYLOAD]
    with pytest.raises(WireError, match="entry: fields"):
        parse_entry(raw)


def test_metrics_survive_the_stamp_of_the_server_s_clock_and_putting_games_together():
    metrics = ((("a", 1.0),), ())
    episodes = replace(GAMES, metrics=metrics)
    assert replace(HEADER, episodes=episodes).stamped(500, 9).episodes.metrics == metrics
    assert (episodes + GAMES).metrics == (*metrics, (), ())
    assert (GAMES + episodes).metrics == ((), (), *metrics)
    assert (GAMES + GAMES).metrics == ()
