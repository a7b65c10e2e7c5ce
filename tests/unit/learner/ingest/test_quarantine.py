"""Which entries may have killed a learner, from what XPENDING says, and how each is processed by itself."""

from __future__ import annotations

from broodmind.common.server.keys import CONSUMER, SOLO_CONSUMER, Keys
from broodmind.learner.commit.lease import Lease
from broodmind.learner.ingest.quarantine import DELIVERIES, PoisonCandidate, Quarantine, poison_candidates


def pending(*entries):
    """As XPENDING answers: (sequence, consumer, deliveries)."""
    return [[b"7-%d" % sequence, who, 5, times] for sequence, who, times in entries]


def test_an_entry_delivered_less_often_is_not_a_candidate():
    assert poison_candidates("a", pending((1, b"mind", DELIVERIES - 1)), after_death=True) == []
    assert poison_candidates("a", [], after_death=True) == []


def test_an_entry_delivered_often_is_processed_solo():
    found = poison_candidates(
        "a", pending((1, b"mind", DELIVERIES), (2, b"mind", 99), (3, b"mind", 1)), after_death=True
    )
    assert found == [PoisonCandidate("a", (7, 1), poison=False), PoisonCandidate("a", (7, 2), poison=False)]


def test_entries_before_a_candidate_are_processed_solo_too():
    found = poison_candidates(
        "a", pending((1, b"mind", 1), (2, b"mind", DELIVERIES), (3, b"mind", 1)), after_death=True
    )
    assert [each.id for each in found] == [(7, 1), (7, 2)]


def test_an_entry_that_a_learner_died_processing_solo_is_poison():
    (found,) = poison_candidates("a", pending((1, b"solo", 4), (2, b"mind", 1)), after_death=True)
    assert found == PoisonCandidate("a", (7, 1), poison=True)


def test_a_solo_entry_is_processed_again_after_a_lost_connection():
    assert poison_candidates("a", pending((1, b"solo", 9)), after_death=False) == [
        PoisonCandidate("a", (7, 1), poison=False)
    ]


class OnePending:
    """A server that has one pending entry; notes under which consumer it was claimed."""

    def __init__(self):
        self.pending, self.consumers = True, []

    def call(self, *_):
        return [[b"7-1", b"solo", 0, 4]] if self.pending else []

    def script(self, _script, _keys, *arguments):
        self.consumers.append(arguments[3])
        return [b"7-1", [b"p", b"payload"], 0] if self.pending else []


def a_quarantine(server):
    made = Quarantine(server, Keys("x"), Lease(Keys("x"), 5000), after_death=True)
    made.examine("a", pending((1, b"mind", DELIVERIES)))
    return made


def test_a_candidate_is_claimed_once_and_awaits_its_commit():
    server = OnePending()
    quarantine = a_quarantine(server)
    assert not quarantine.awaits_commit()
    assert quarantine.claim_next() == (PoisonCandidate("a", (7, 1), poison=False), [b"p", b"payload"], 0)
    assert quarantine.awaits_commit()
    server.pending = False
    assert not quarantine.awaits_commit()
    assert quarantine.claim_next() is None
    assert quarantine.empty
    assert server.consumers == [SOLO_CONSUMER]


def test_a_candidate_missing_from_its_stream_is_skipped():
    server = OnePending()
    server.pending = False
    quarantine = a_quarantine(server)
    assert quarantine.claim_next() is None
    assert (quarantine.empty, quarantine.in_hand) == (True, False)


def test_only_a_claimed_candidate_is_returned():
    server = OnePending()
    quarantine = a_quarantine(server)
    quarantine.give_back()
    assert server.consumers == []
    quarantine.claim_next()
    quarantine.give_back()
    assert server.consumers == [SOLO_CONSUMER, CONSUMER]
