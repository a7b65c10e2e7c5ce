"""Where an agent's policy comes from: what its thread that talks to Redis says to those that play."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, Protocol

from ...common.errors import ConfigError, RedisDenied, SpecMismatch
from ...common.server.streams import ServerFull

if TYPE_CHECKING:
    from ...common.spec import RunSpec
    from ...common.wire.demand import Demand
    from ..inference.policy import Policy

ConnectionState = Literal["connecting", "waiting for a learner", "connected", "full", "unreachable", "denied", "misfit"]


class PolicySource(Protocol):
    """The thread that owns the connection. Its fields are written by it alone, each as one reference."""

    policy: Policy | None  # for the games that begin now
    spec: RunSpec | None  # the run's
    demand: Demand | None  # the learner's; None where it is not known, or of no interest
    behind: bool  # whether the last exchange left something: the learner wants no more, or the link is slow
    evaluation: tuple[float, Policy] | None  # the share of greedy games, and what they are played with
    state: ConnectionState
    problem: str  # the last error, until an attempt succeeds

    def start(self) -> None:
        """Begin to connect."""

    def close(self, timeout_s: float) -> bool:
        """Wait up to `timeout_s` for the thread to end. Returns whether it has ended."""


def state_after(error: Exception) -> ConnectionState:
    """The state of a connection whose last attempt has failed with this error."""
    match error:
        case ServerFull():
            return "full"
        case RedisDenied():
            return "denied"
        case SpecMismatch() | ConfigError():
            return "misfit"
    return "unreachable"
