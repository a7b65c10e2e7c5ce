"""Every error that a user can meet, and the exit code of a process that ends with it.

    BroodmindError (1)
    ├── ConfigError (3)          an option, a game's name or a file is not usable
    │   └── NameTaken             two processes add entries under one actor's name
    ├── RedisUnreachable (4)     no server answers at the address, or it takes no writes now
    ├── RedisDenied (5)          the server answers and refuses: password, user, permission, memory
    ├── LeaseHeld (6)            another learner is running this run
    ├── LeaseLost (7)            this learner no longer holds the lease; nothing more may be written
    ├── SpecMismatch (8)         this actor's game is not the game of the run
    ├── LineageLost (9)          the run in Redis is not the one this process was working on
    ├── NotSolved (10)           a limit was reached before the return `--until-return`
    ├── ProcessFailed (11)       a process of a local run failed too often
    ├── VerifyFailed (12)        a run's own records contradict each other: something was lost, doubled or miscounted
    ├── GameCrashed (13)         the game's own program died in the middle of a game
    ├── GameAborted (14)         a game was given up: its player failed, or was asked to stop
    ├── GameError (15)           a game's own code raised an error, or returned what does not fit its spec
    ├── NothingTrained (16)      a run ended, or was ended, with all its play rejected
    └── WireError                bytes from outside are invalid; they are rejected and counted, and no process ends

Click's own usage errors exit with 2. A process that a signal drained exits with 0; `broodmind up` then with 130.
"""

from __future__ import annotations


class BroodmindError(Exception):
    """The root of all errors of this package. A process that ends with one exits with its `exit_code`."""

    exit_code = 1


class ConfigError(BroodmindError):
    """An option, a game's name or a file cannot be used as given."""

    exit_code = 3


class NameTaken(ConfigError):
    """Another process adds entries under this actor's name."""


class RedisUnreachable(BroodmindError):
    """No server answers at the address, the connection broke, or the server takes no writes for now."""

    exit_code = 4


class RedisDenied(BroodmindError):
    """The server answered and refused the command."""

    exit_code = 5


class LeaseHeld(BroodmindError):
    """Another learner holds the run's lease."""

    exit_code = 6


class LeaseLost(BroodmindError):
    """This learner has lost its lease: it was paused for too long, or another learner took over."""

    exit_code = 7


class SpecMismatch(BroodmindError):
    """This actor's game differs from the game in the run's spec."""

    exit_code = 8


class LineageLost(BroodmindError):
    """The state in Redis does not follow from the last state that this process knew."""

    exit_code = 9


class NotSolved(BroodmindError):
    """The limit `--max-steps` or `--max-seconds` was reached before the return `--until-return`."""

    exit_code = 10


class ProcessFailed(BroodmindError):
    """A process of a local run ended with an error, too often to go on."""

    exit_code = 11


class VerifyFailed(BroodmindError):
    """`broodmind verify` found a violation: an entry lost or consumed twice, a wrong count, a broken lineage."""

    exit_code = 12


class GameCrashed(BroodmindError):
    """The program that a game runs in died; the game has no result."""

    exit_code = 13


class GameAborted(BroodmindError):
    """A game was given up before its end; it has no result."""

    exit_code = 14


class GameError(BroodmindError):
    """A game's own code raised an error, or returned what does not fit its spec."""

    exit_code = 15


class NothingTrained(BroodmindError):
    """All play of a run was rejected."""

    exit_code = 16


class WireError(BroodmindError):
    """Bytes from outside do not decode to what the run's spec allows; the message names the field."""
