"""The warning that much of what arrives is too old, which names the setting that helps."""

from __future__ import annotations

import pytest

from broodmind.learner.metrics import rejected_share
from broodmind.learner.metrics.rejected_share import WINDOW_S, Arrived, RejectedShare


@pytest.fixture
def times(monkeypatch):
    found = {"now": 0.0}
    monkeypatch.setattr(rejected_share, "monotonic_s", lambda: found["now"])
    return found


def after(*arrived, limit=4):
    share = RejectedShare()
    for each in arrived:
        share.add(each, limit, 60.0)
    return share.warning


@pytest.mark.parametrize(
    ("arrived", "limit", "warning"),
    [
        (Arrived(2000, 100, 0), 4, ""),
        (Arrived(2000, 101, 0), 4, "5% {} were too stale: raise --max-staleness (now 4 versions)"),
        (
            Arrived(2000, 500, 0),
            64,
            "25% {} were too stale: raise --max-staleness (now 64 versions) or --batch-steps, {}",
        ),
        (Arrived(2000, 100, 1500), 4, "75% {} were played too long ago: raise --max-age (now 60 s)"),
        (Arrived(999, 999, 0), 4, ""),  # too few to say
        (Arrived(0, 0, 0), 4, ""),
    ],
)
def test_it_warns_above_five_percent_and_names_the_setting(times, arrived, limit, warning):
    words = ("of the steps of the last 30 s", "so that fewer versions pass")
    assert after(arrived, limit=limit) == warning.format(*words)


def test_only_the_window_counts_and_it_is_logged_once_each_time(times, caplog):
    share = RejectedShare()
    stale = [500 if 10 <= second < 20 or second >= 90 else 0 for second in range(100)]
    for second in range(100):
        times["now"] = float(second)
        share.add(Arrived(1000, stale[second], 0), 4, 60.0)
        lately = [stale[earlier] for earlier in range(second + 1) if second - earlier <= WINDOW_S]
        assert bool(share.warning) == (sum(lately) > 0.05 * 1000 * len(lately))
    assert len(caplog.records) == 2
