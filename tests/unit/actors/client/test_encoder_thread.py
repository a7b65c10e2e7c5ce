"""The encoder thread goes on, whatever becomes of one game's data or of its record."""

from __future__ import annotations

import json
import threading
import time

import numpy as np
import pytest

from broodmind.actors.client.encoder_thread import EncoderThread
from broodmind.actors.client.episode import Episode, ErrorPolicy
from broodmind.actors.client.open_games import OpenGames
from broodmind.actors.client.overflow import NOTHING
from broodmind.actors.inference.policy import Policy
from broodmind.common.actions import Discrete
from broodmind.common.policy.network import initial_params
from broodmind.common.spec import GameSpec, NetworkSpec, RolloutSpec, RunSpec
from broodmind.common.wire.trajectory import decode_trajectory
from broodmind.common.wire.weights import Pointer

SPEC = RunSpec(GameSpec("toy", (3,), Discrete(4), wins=True), NetworkSpec(hidden=(8,)), RolloutSpec())
TIMEOUT_S = 60


class Delivery:
    """Takes what is encoded; an exception in `errors` is raised instead, one each time."""

    def __init__(self, *errors):
        self.taken, self._errors = [], list(errors)

    def put(self, header, payload):
        if self._errors:
            raise self._errors.pop(0)
        self.taken.append((header, payload))


@pytest.fixture
def encoder():
    started = []

    def start(delivery, records=None):
        started.append(EncoderThread("a", delivery, records, OpenGames()))
        started[-1].start()
        return started[-1]

    yield start
    for each in started:
        each.close(TIMEOUT_S)


def play(encoder, *, policy=True):
    params = initial_params(SPEC.network, SPEC.game, np.random.default_rng(1))
    played_with = Policy(Pointer(2, 7, "c0ffee", "digest", 1), params, SPEC) if policy else None
    rng, on_end = np.random.default_rng(2), lambda _, finished: encoder.put(finished)
    with Episode("a-1", {}, played_with, lambda *_: 2, rng, ErrorPolicy(), on_end) as episode:
        episode.act([0.1, 0.2, 0.3])
        episode.end("win")
    assert encoder.flush(TIMEOUT_S)


@pytest.mark.parametrize("errors", [[], [OSError("no space"), OSError("no space")]])
def test_a_game_counts_as_unencoded_until_it_is_in_an_entry_or_given_up(encoder, errors):
    began, held = threading.Event(), threading.Event()

    class Slow(Delivery):
        def put(self, header, payload):
            began.set()
            held.wait(TIMEOUT_S)
            super().put(header, payload)

    thread = encoder(Slow(*errors))
    assert thread.unencoded == NOTHING
    threads = [threading.Thread(target=play, args=(thread,)) for _ in range(2)]
    threads[0].start()
    assert began.wait(TIMEOUT_S)
    threads[1].start()  # it waits behind the first one
    while thread.unencoded == NOTHING:
        time.sleep(0.001)
    assert (thread.unencoded.games, thread.unencoded.steps) == (1, 1)
    assert thread.unencoded.payload_bytes > 0
    held.set()
    for each in threads:
        each.join(TIMEOUT_S)
    assert thread.unencoded == NOTHING


def test_a_game_is_encoded_under_the_version_that_played_it(encoder):
    delivery = Delivery()
    play(encoder(delivery))
    ((header, payload),) = delivery.taken
    assert (header.epoch, header.versions, header.commits, header.steps, header.games) == (
        *(2, (7, 7), ("c0ffee", "c0ffee")),
        *(1, 1),
    )
    assert decode_trajectory(payload, header, "a", SPEC).steps == 1


def test_a_game_that_the_delivery_does_not_take_is_counted_and_the_next_one_is_taken(encoder, caplog):
    delivery = Delivery(ValueError("no room at all"))
    ours = encoder(delivery)
    play(ours)
    assert (ours.outcomes["win"], delivery.taken) == (1, [])
    assert "game not kept" in caplog.text
    assert "no room at all" in caplog.text
    play(ours)
    assert (ours.outcomes["win"], len(delivery.taken)) == (2, 1)


def test_a_record_that_cannot_be_written_does_not_lose_the_game(encoder, tmp_path, caplog):
    delivery, file = Delivery(), tmp_path / "records"
    file.mkdir()  # no file to append to
    ours = encoder(delivery, file)
    play(ours)
    assert len(delivery.taken) == 1
    assert "record not written" in caplog.text
    file.rmdir()
    play(ours)
    assert [json.loads(line)["outcome"] for line in file.read_text().splitlines()] == ["win"]
    assert len(delivery.taken) == 2


def test_a_game_without_a_policy_is_counted_and_has_no_data(encoder):
    delivery = Delivery()
    ours = encoder(delivery)
    play(ours, policy=False)
    assert (ours.outcomes["win"], ours.untrained, delivery.taken) == (1, 1, [])
