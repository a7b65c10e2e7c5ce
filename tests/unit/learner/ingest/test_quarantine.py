"""Who is suspected of having killed a learner, from what XPENDING says."""

from __future__ import annotations

from broodmind.learner.ingest.quarantine import DELIVERIES, PoisonCandidate, poison_candidates


def pending(*entries):
    """As XPENDING answers: (sequence, consumer, deliveries)."""
    return [[b"7-%d" % sequence, who, 5, times] for sequence, who, times in entries]


def test_what_was_delivered_less_often_is_no_suspect():
    assert poison_candidates("a", pending((1, b"mind", DELIVERIES - 1)), after_death=True) == []
    assert poison_candidates("a", [], after_death=True) == []


def test_what_was_delivered_often_is_tried_solo():
    found = poison_candidates(
        "a", pending((1, b"mind", DELIVERIES), (2, b"mind", 99), (3, b"mind", 1)), after_death=True
    )
    assert found == [PoisonCandidate("a", (7, 1), poison=False), PoisonCandidate("a", (7, 2), poison=False)]


def test_what_stands_before_a_suspect_is_tried_solo_too():
    found = poison_candidates(
        "a", pending((1, b"mind", 1), (2, b"mind", DELIVERIES), (3, b"mind", 1)), after_death=True
    )
    assert [suspect.id for suspect in found] == [(7, 1), (7, 2)]


def test_what_was_solo_in_a_dead_learners_hand_is_poison():
    (found,) = poison_candidates("a", pending((1, b"solo", 4), (2, b"mind", 1)), after_death=True)
    assert found == PoisonCandidate("a", (7, 1), poison=True)


def test_what_was_solo_when_only_the_connection_was_lost_is_tried_again():
    assert poison_candidates("a", pending((1, b"solo", 9)), after_death=False) == [
        PoisonCandidate("a", (7, 1), poison=False)
    ]
