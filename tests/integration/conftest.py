from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from support.runs import taken_lease

if TYPE_CHECKING:
    from broodmind.learner.commit.lease import Lease


@pytest.fixture
def lease(redis, keys) -> Lease:
    """The lease of the run that `run` names, taken."""
    return taken_lease(redis, keys)
