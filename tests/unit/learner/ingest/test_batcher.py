"""What goes into an update and what is rejected; the counters, cursors, names and figures that go with it."""

import dataclasses
import hashlib
import json

import numpy as np
import pytest
from support.runs import make_header

from broodmind.common.actions import Discrete
from broodmind.common.errors import ConfigError, SpecMismatch
from broodmind.common.server.keys import Keys, check_name
from broodmind.common.spec import READABLE, GameSpec, NetworkSpec, RolloutSpec, RunSpec
from broodmind.common.wire.entry_header import Episodes
from broodmind.common.wire.trajectory import Trajectory
from broodmind.learner.config import IntakeConfig
from broodmind.learner.ingest.batcher import Batcher
from broodmind.learner.ledger.counters import REJECTIONS, Counters
from broodmind.learner.ledger.head import Head, Standing
from broodmind.learner.ledger.stream_entry import Entry

NOW = 1_700_000_000_000
STANDING = Standing(Head(epoch=3, version=20, commit="c20"))
CONFIG = IntakeConfig(batch_steps=10, batch_games=0, max_staleness=4, max_age=60.0)
DIGEST_OF_0_1 = "37648a210115f8c6"  # as version 0.1 computed it for the first of `specs`


def header(version=20, epoch=3, steps=4, games=1, created_ms=NOW):
    return make_header(version, epoch, steps, games, created_ms)


def trajectory(steps=4, columns=1, *, played=None, returns=(1.0,), lengths=(4,)):
    """Of its steps only the first `played` are valid."""
    shape = (steps, columns)
    valid = np.arange(steps * columns).reshape(shape) < (steps * columns if played is None else played)
    nothing = np.zeros(shape, np.float32)
    no = np.zeros(shape, np.bool_)
    return Trajectory(
        observations=np.zeros((steps + 1, columns, 1), np.float32),
        actions=np.zeros(shape, np.int32),
        log_probs=nothing,
        rewards=nothing,
        terminated=no,
        truncated=no,
        valid=valid,
        episodes=Episodes(returns, lengths, (NOW,) * len(returns)),
    )


def entry(actor="a", entry_id=(1, 1), entry_header=None, **options):
    return Entry(actor, entry_id, entry_header or header(), trajectory(**options))


def a_batcher(cursors=None, **config):
    return Batcher(dataclasses.replace(CONFIG, **config), {} if cursors is None else cursors)


def reasons(made):
    return [reason for _, reason in made.rejected]


def test_an_entry_that_may_be_trained_on_is_accepted_and_counted():
    made = a_batcher()
    made.add(entry(steps=3, columns=2, played=5, entry_header=header(steps=5, games=2)), STANDING, NOW)
    assert (len(made.accepted), made.rejected, made.lost) == (1, [], 0)
    assert (made.steps, made.games) == (6, 2)  # the steps that resets swallow fill a batch as well
    assert made.cursors == {"a": (1, 1)}
    assert made.consumed == {"a": ((1, 1), 1)}


def test_a_step_of_several_choices_is_one_step():
    made, several = a_batcher(), entry(steps=3, columns=2)
    actions = np.zeros((3, 2, 5), np.int32)
    made.add(
        dataclasses.replace(several, trajectory=dataclasses.replace(several.trajectory, actions=actions)), STANDING, NOW
    )
    assert made.steps == 6


@pytest.mark.parametrize(
    ("one", "reason"),
    [
        (header(version=1), "stale"),
        (header(created_ms=0), "too_old"),
        (header(epoch=1), "wrong_epoch"),
    ],
)
def test_an_entry_that_has_aged_since_it_was_read_is_rejected(one, reason):
    made = a_batcher()
    made.add(entry(entry_header=one), STANDING, NOW)
    assert (reasons(made), made.accepted, made.steps, made.games) == ([reason], [], 0, 0)
    assert made.consumed == {"a": ((1, 1), 1)}
    assert made.cursors == {"a": (1, 1)}


def played_by(*versions):
    """An entry of so many steps, and the version of each."""
    offsets = np.array(versions, np.int32)[:, None] - min(versions)
    one = dataclasses.replace(header(), versions=(min(versions), max(versions)), commits=("", ""))
    return Entry("a", (1, 1), one, dataclasses.replace(trajectory(len(versions)), version_offsets=offsets))


def test_an_entry_with_some_steps_too_stale_is_accepted_and_only_the_others_fill_the_batch():
    made = a_batcher()
    made.add(played_by(14, 15, 16, 20), STANDING, NOW)
    assert (len(made.accepted), made.rejected, made.steps, made.games) == (1, [], 2, 1)
    assert made.oldest_version == 16


def test_an_entry_whose_steps_are_all_too_stale_is_refused_whatever_its_header_says():
    made, liar = a_batcher(), played_by(10, 11, 12, 15)
    liar = dataclasses.replace(liar, header=dataclasses.replace(liar.header, versions=(10, 20)))
    made.add(liar, STANDING, NOW)
    assert (reasons(made), made.accepted, made.steps) == (["stale"], [], 0)


@pytest.mark.parametrize(
    ("valid", "steps"),
    [
        ("11111111", 8),
        ("11011111", 8),  # a reset counts
        ("01111111", 8),  # of a game that ended before
        ("11111000", 6),  # what follows a reset is padding
        ("11011000", 6),
        ("00000000", 1),
    ],
)
def test_padding_does_not_fill_a_batch_and_resets_do(valid, steps):
    flags = np.array([[letter == "1"] for letter in valid])
    ended = valid.count("10")
    played = dataclasses.replace(trajectory(8), valid=flags)
    one = dataclasses.replace(
        header(), steps=valid.count("1"), episodes=Episodes((1.0,) * ended, (1,) * ended, (1,) * ended)
    )
    made = a_batcher()
    made.add(Entry("a", (1, 1), one, played), STANDING, NOW)
    assert made.steps == steps


def test_games_count_in_the_figures_if_they_are_the_runs_own_and_arrived():
    made = a_batcher({"b": (5, 7)}, accept_imported=True)
    headers = [
        header(),
        header(version=1),
        header(created_ms=0),
        header(epoch=1),
        dataclasses.replace(header(), imported=True),
    ]
    for sequence, one in enumerate(headers, 1):
        made.add(entry(entry_id=(1, sequence), entry_header=one), STANDING, NOW)
    made.add(entry("b", (5, 7)), STANDING, NOW)  # a duplicate
    made.add(Entry("c", (1, 1), header(), None, "invalid", "actions: ..."), STANDING, NOW)
    made.add(Entry("c", (1, 2), None, None, "poison"), STANDING, NOW)
    made.add(Entry("c", (1, 3), header(version=2), None, "stale"), STANDING, NOW)
    made.reject_accepted("loss: nan")  # they were played all the same
    assert made.arrived == [*(("a", one) for one in headers[:4]), ("c", header(version=2))]


@pytest.mark.parametrize(
    ("read", "reason"),
    [
        (Entry("a", (1, 1), header(), None, "stale"), "stale"),
        (Entry("a", (1, 1), header(), None, "too_old"), "too_old"),
        (Entry("a", (1, 1), None, None, "invalid", "entry: ..."), "invalid"),
        (Entry("a", (1, 1), None, None), "invalid"),
    ],
)
def test_an_entry_rejected_when_it_was_read_keeps_its_reason(read, reason):
    made = a_batcher()
    made.add(read, STANDING, NOW)
    assert reasons(made) == [reason]
    assert made.rejected[0][0] is read
    assert made.consumed == {"a": ((1, 1), 1)}


@pytest.mark.parametrize("entry_id", [(5, 7), (5, 6), (5, 1), (4, 99)])
def test_an_id_at_or_before_the_cursor_is_a_duplicate(entry_id):
    made = a_batcher({"a": (5, 7)})
    made.add(entry(entry_id=entry_id), STANDING, NOW)
    assert reasons(made) == ["duplicate"]
    assert (made.accepted, made.lost, made.steps) == ([], 0, 0)
    assert made.cursors == {"a": (5, 7)}  # it does not go back
    assert made.consumed == {"a": (entry_id, 1)}  # but the entry leaves the stream


def test_the_same_id_twice_in_one_batch_is_a_duplicate():
    made = a_batcher()
    made.add(entry(), STANDING, NOW)
    made.add(entry(), STANDING, NOW)
    assert (len(made.accepted), reasons(made)) == (1, ["duplicate"])
    assert made.consumed == {"a": ((1, 1), 2)}


def test_the_cursor_of_another_actor_does_not_make_an_entry_a_duplicate():
    made = a_batcher({"a": (5, 7)})
    made.add(entry("b", (5, 1)), STANDING, NOW)
    assert (len(made.accepted), made.rejected) == (1, [])
    assert made.cursors == {"a": (5, 7), "b": (5, 1)}


@pytest.mark.parametrize(
    ("cursor", "ids", "lost"),
    [
        (None, [(9, 1)], 0),  # an incarnation's first is number 1
        (None, [(9, 4)], 3),
        ((9, 4), [(9, 5)], 0),
        ((9, 4), [(9, 8)], 3),
        ((9, 4), [(9, 6), (9, 9)], 1 + 2),
        ((9, 4), [(12, 1)], 0),  # what the earlier incarnation still had to send nobody knows
        ((9, 4), [(12, 3)], 2),
        ((9, 4), [(9, 6), (12, 2), (12, 3), (15, 1)], 1 + 1),
        ((9, 4), [(9, 2), (9, 4), (9, 6)], 1),  # duplicates are no gap and close none
    ],
)
def test_numbers_that_are_missing_are_counted_as_lost(cursor, ids, lost):
    made = a_batcher({} if cursor is None else {"a": cursor})
    for entry_id in ids:
        made.add(entry(entry_id=entry_id), STANDING, NOW)
    assert made.lost == lost
    assert made.consumed == {"a": (ids[-1], len(ids))}


@pytest.mark.parametrize(
    ("cursor", "before", "told", "overflow"),
    [
        (None, 0, [((9, 1), 0)], 0),
        (None, 0, [((9, 1), 5)], 5),
        ((9, 4), 5, [((9, 5), 5)], 0),
        ((9, 4), 5, [((9, 5), 7), ((9, 6), 7), ((9, 7), 10)], 5),
        ((9, 4), 5, [((12, 1), 3)], 3),  # a new incarnation counts anew
        ((9, 4), 5, [((9, 5), 6), ((12, 1), 6), ((12, 2), 8)], 1 + 8),
        ((9, 4), 5, [((9, 4), 90)], 0),  # a duplicate told it before
        ((9, 4), 5, [((9, 5), 1), ((9, 6), 5), ((9, 7), 6)], 1),  # no actor takes back what it told
        (None, 0, [((9, 1), 2**52)], 1 << 20),  # nor gives so many up
    ],
)
def test_games_given_up_are_counted_once_as_their_actor_tells(cursor, before, told, overflow):
    made = a_batcher({} if cursor is None else {"a": cursor})
    made.given_up = {"a": before}
    for entry_id, total in told:
        one = header() if entry_id[1] % 2 else header(version=1)  # whether it is rejected or not
        made.add(entry(entry_id=entry_id, entry_header=dataclasses.replace(one, overflow=total)), STANDING, NOW)
    assert made.overflow == overflow
    # Its successor, in which the same total tells nothing new.
    resumed = a_batcher(made.cursors)
    resumed.given_up = made.given_up
    last, total = made.cursors["a"], made.given_up["a"]
    resumed.add(
        entry(entry_id=(last[0], last[1] + 1), entry_header=dataclasses.replace(header(), overflow=total)),
        STANDING,
        NOW,
    )
    assert resumed.overflow == 0


def test_a_rejected_entry_leaves_no_gap():
    made = a_batcher()
    for sequence, one in enumerate([header(), header(version=1), header()], start=1):
        made.add(entry(entry_id=(9, sequence), entry_header=one), STANDING, NOW)
    assert (made.lost, len(made.accepted), reasons(made)) == (0, 2, ["stale"])
    assert made.consumed == {"a": ((9, 3), 3)}


@pytest.mark.parametrize(
    ("batch_steps", "batch_games", "entries", "complete"),
    [
        (8, 0, 1, False),
        (8, 0, 2, True),
        (9, 0, 2, False),
        (9, 0, 3, True),
        (0, 2, 1, False),
        (0, 2, 2, True),
        (4, 3, 2, False),
        (12, 2, 2, False),
        (12, 2, 3, True),
        (1, 0, 0, False),
    ],
)
def test_a_batch_is_complete_with_enough_steps_and_enough_games(batch_steps, batch_games, entries, complete):
    made = a_batcher(batch_steps=batch_steps, batch_games=batch_games)
    for sequence in range(1, entries + 1):
        made.add(entry(entry_id=(1, sequence)), STANDING, NOW)  # 4 steps and 1 game each
    assert made.complete is complete


def test_rejected_entries_do_not_complete_a_batch():
    made = a_batcher(batch_steps=1)
    for sequence in range(1, 9):
        made.add(entry(entry_id=(1, sequence), entry_header=header(version=1)), STANDING, NOW)
    assert not made.complete


def test_the_same_entries_make_the_same_batch_in_whatever_order_the_actors_came():
    # Numbers, not text: 10 comes after 9. An incarnation comes before its successor.
    entries = [entry(actor, entry_id) for actor in ("b", "a", "c") for entry_id in ((1, 9), (1, 10), (2, 1))]
    expected = [(e.header, e.trajectory) for e in sorted(entries, key=lambda e: (e.actor, e.id))]
    rng = np.random.default_rng(1)
    for _ in range(20):
        made = a_batcher()
        left = {actor: [e for e in entries if e.actor == actor] for actor in "abc"}
        while any(left.values()):
            actor = rng.choice([name for name, queue in left.items() if queue])
            made.add(left[actor].pop(0), STANDING, NOW)
        found = made.in_order()
        assert [id(t) for _, t in found] == [id(t) for _, t in expected]
        assert [h for h, _ in found] == [h for h, _ in expected]


@pytest.mark.parametrize(
    "wrong", [{"batch_steps": 0}, {"max_staleness": -1}, {"max_age": 0.0}, {"batch_steps": 0, "batch_games": 0}]
)
def test_a_batch_that_could_never_be_complete_is_refused(wrong):
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        IntakeConfig(**wrong)


# Counters.


def test_adding_to_counters_returns_new_ones_and_keeps_the_old():
    before = Counters(updates=1, accepted=5)
    after = before.add(accepted=3, stale=2)
    assert before == Counters(updates=1, accepted=5)
    assert after == Counters(updates=1, accepted=8, stale=2)


def test_counters_are_read_back_from_the_head():
    count = len(dataclasses.fields(Counters))
    full = Counters(*range(1, count + 1))
    fields = {name: str(value) for name, value in full.to_fields().items()}
    assert len(fields) == count
    assert Counters.from_fields({**fields, "commit": "abc", "epoch": "3"}) == full
    assert Counters.from_fields({"accepted": "7"}) == Counters(accepted=7)


def test_an_unknown_counter_is_an_error():
    with pytest.raises(AttributeError):
        Counters().add(acepted=1)


def test_every_reason_for_a_rejection_has_a_counter():
    rejected = {name: number for number, name in enumerate(REJECTIONS, start=1)} | {"overflow": 99, "lost": 98}
    assert Counters(**rejected, accepted=9, steps=8).rejected() == rejected


# Names.


@pytest.mark.parametrize("name", ["a", "A1", "run_1.b-2", "x" * 64, "0"])
def test_a_plain_name_is_valid_in_a_key(name):
    assert check_name("run", name) == name
    assert Keys(name).trajectories("a1") == f"broodmind:{{{name}}}:trajectories:a1"


@pytest.mark.parametrize(
    "name",
    [
        "",
        ".",
        "..",
        "....",
        "x" * 65,
        "a b",
        "a:b",
        "a}b",
        "{a}",
        "a/b",
        "a\\b",
        "a\n",
        "\na",
        "ä",
        "a\0",
        "*",
        "a?",
        "\u0661",
    ],
)
def test_a_name_that_could_break_out_of_a_key_is_refused(name):
    with pytest.raises(ConfigError, match=r"^actor: .*, expected 1 to 64 of"):
        check_name("actor", name)
    with pytest.raises(ConfigError, match=r"^run: "):
        Keys(name)


def test_every_key_of_a_run_carries_the_runs_name_as_its_hash_tag_and_no_two_are_the_same():
    keys = Keys("r1")
    made = [getattr(keys, name) for name, kind in vars(Keys).items() if isinstance(kind, property)]
    made += [of(actor) for of in (keys.trajectories, keys.heartbeat, keys.incarnation, keys.offer) for actor in "ab"]
    made += [
        keys.weights(1, 11),
        keys.weights(11, 1),
        keys.weights(1, 1),
        keys.staged("learner", "c"),
        keys.staged("weights", "c"),
        keys.staged("restore_point", "c"),
    ]
    assert all(key.startswith("broodmind:{r1}:") and key.count("{") == 1 for key in made)
    assert len(set(made)) == len(made)
    assert len(made) == 16 + 14


# The run's spec.


def specs():
    yield RunSpec(GameSpec("g", (4,), Discrete(2)))
    yield RunSpec(
        GameSpec("h", (3, 2), Discrete(5), masked=True, wins=True),
        NetworkSpec((7, 8, 9), "relu", shared=True),
        RolloutSpec("games", 99, 5, float16=True),
        seed=12345,
    )


def test_a_spec_of_bytes_survives_its_text():
    spec = RunSpec(GameSpec("pixels", (84, 84, 4), Discrete(2), observation_dtype="uint8"))
    assert RunSpec.from_json(spec.to_json()) == spec


@pytest.mark.parametrize(("other", "shown"), [(1, "1"), (3, "3"), (None, "1"), ("2", "'2'")])
def test_a_spec_of_another_format_is_refused_in_a_line_that_names_both(other, shown):
    text = {**json.loads(next(specs()).to_json()), "format": other}
    if other is None:  # as version 0.1 wrote it
        del text["format"]
    with pytest.raises(ConfigError) as caught:
        RunSpec.from_json(json.dumps(text))
    assert str(caught.value) == (
        f"run spec: format {shown}, expected 2: the run's learner is of another version of broodmind than this process"
    )


def test_a_spec_of_version_0_1_can_be_read_and_has_the_digest_that_it_had():
    spec = next(specs())
    text = json.loads(spec.to_json())
    del text["format"]
    found = RunSpec.from_json(json.dumps(text), formats=READABLE)
    assert (found, found.digest) == (spec, DIGEST_OF_0_1)


@pytest.mark.parametrize("spec", list(specs()), ids=["least", "most"])
def test_a_spec_is_read_back_from_its_text(spec):
    text = spec.to_json()
    assert RunSpec.from_json(text) == spec
    assert RunSpec.from_json(text.encode()) == spec
    assert RunSpec.from_json(text).to_json() == text
    assert text == json.dumps(json.loads(text), sort_keys=True, separators=(",", ":"))
    assert hash(RunSpec.from_json(text)) == hash(spec)  # its lists have become tuples again


def test_specs_that_differ_in_what_is_not_in_use_are_equal_and_have_their_own_digests():
    spec = next(specs())
    earlier = dataclasses.replace(spec, rollout=RolloutSpec(high_water=16))
    assert earlier == spec
    assert RunSpec.from_json(earlier.to_json()).digest == earlier.digest != spec.digest


def test_the_digest_is_that_of_the_canonical_text_and_differs_for_every_setting():
    spec = next(specs())
    text = json.loads(spec.to_json())
    assert text.pop("format") == 2
    canonical = json.dumps(text, sort_keys=True, separators=(",", ":"))
    assert spec.digest == hashlib.sha256(canonical.encode()).hexdigest()[:16]
    assert RunSpec(GameSpec("g", (4,), Discrete(2))).digest == spec.digest
    others = [
        dataclasses.replace(spec, seed=1),
        *(
            dataclasses.replace(spec, game=dataclasses.replace(spec.game, **change))
            for change in (
                {"name": "x"},
                {"observation_shape": (5,)},
                {"actions": Discrete(3)},
                {"masked": True},
                {"wins": True},
                {"observation_dtype": "uint8"},
            )
        ),
        *(
            dataclasses.replace(spec, network=NetworkSpec(**change))
            for change in ({"hidden": (1,)}, {"activation": "relu"}, {"shared": True})
        ),
        *(
            dataclasses.replace(spec, rollout=RolloutSpec(**change))
            for change in (
                {"unroll": "games"},
                {"fragment_length": 1},
                {"high_water": 1},
                {"lock_step": True},
                {"float16": True},
                {"observation_fit": "pad"},
            )
        ),
    ]
    assert len({spec.digest, *(other.digest for other in others)}) == 1 + len(others)


@pytest.mark.parametrize(
    ("name", "ours"),
    [
        ("observation_shape", (2, 3)),
        ("observation_dtype", "uint8"),
        ("actions", Discrete(4)),
        ("masked", False),
        ("wins", False),
    ],
    ids=str,
)
def test_another_game_is_rejected_by_the_fields_name_with_both_values(name, ours):
    *_, spec = specs()
    game = dataclasses.replace(spec.game, name="mine", **{name: ours})
    with pytest.raises(SpecMismatch) as caught:
        spec.check_game(game)
    assert str(caught.value) == f"{name} of game mine: {ours}, expected {getattr(spec.game, name)} (the run's h)"
    assert caught.value.exit_code == 8


def test_the_same_game_under_another_name_is_the_same_game():
    *_, spec = specs()
    game = dataclasses.replace(spec.game, name="mine")
    assert game != spec.game
    spec.check_game(game)  # raises nothing


@pytest.mark.parametrize(
    "text",
    [
        "",
        "no json",
        "[]",
        "null",
        "{}",
        '{"game": null}',
        b"\xff",
        json.dumps({**json.loads(RunSpec(GameSpec("g", (4,), Discrete(2))).to_json()), "rollout": {"lenght": 3}}),
        json.dumps({**json.loads(RunSpec(GameSpec("g", (4,), Discrete(2))).to_json()), "seed": "x"}),
        json.dumps({**json.loads(RunSpec(GameSpec("g", (4,), Discrete(2))).to_json()), "network": {"hidden": []}}),
    ],
)
def test_an_invalid_text_of_a_spec_is_refused(text):
    with pytest.raises(ConfigError):
        RunSpec.from_json(text)


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: GameSpec("g", (), Discrete(2)), "observation_shape"),
        (lambda: GameSpec("g", (3, 0), Discrete(2)), "observation_shape"),
        (lambda: GameSpec("g", (3,), Discrete(1)), "actions"),
        (lambda: GameSpec("g", (3,), Discrete(2), observation_dtype="int8"), "observation_dtype"),
        (lambda: NetworkSpec(()), "hidden"),
        (lambda: NetworkSpec((3, 0)), "hidden"),
        (lambda: NetworkSpec((3,), "sigmoid"), "activation"),
        (lambda: RolloutSpec("forever"), "unroll"),
        (lambda: RolloutSpec(fragment_length=0), "fragment_length"),
        (lambda: RolloutSpec("games", lock_step=True), "lock_step"),
    ],
)
def test_an_invalid_spec_is_refused_by_the_settings_name(make, says):
    with pytest.raises(ConfigError, match=f"^{says}"):
        make()
