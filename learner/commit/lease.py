"""The learner's lease: only the learner that holds it may read and write the run.

The lease is for liveness: one learner at a time does the work. Safety depends on the commit, which also checks the
parent's commit id: after a failover to a replica, two learners may both believe that they hold the lease.
"""

from __future__ import annotations

import re
import secrets
import time
from importlib.resources import files
from typing import TYPE_CHECKING

from ...common.errors import LeaseHeld, LeaseLost, RedisUnreachable
from ...common.process.log import Log
from ...common.server.streams import ReplyError, Script

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ...common.process.shutdown import Stop
    from ...common.server.keys import Keys
    from ...common.server.streams import Argument, Reply, Server

_ACQUIRE = Script(files(__package__).joinpath("acquire.lua").read_text())
_RENEW = Script(files(__package__).joinpath("renew.lua").read_text())
_log = Log("lease")

_POLL_S = 0.05


class Lease:
    """The lease of one run: a token, which every script of the learner checks first, and a time to live."""

    def __init__(self, keys: Keys, ttl_ms: int) -> None:
        self._keys = keys
        self.ttl_ms = ttl_ms
        self.token = ""
        self.server_id = ""  # of the server process that gave the lease

    def acquire(self, server: Server, stop: Stop, wait_s: float) -> bool:
        """Take the lease. If another learner holds it, wait up to `wait_s` until it expires or is released.

        A lease that this learner holds already is kept. If the server has replied once, later failures to reach it do
        not end the wait.

        Returns:
            True if the lease was taken; False if a stop was requested before.

        Raises:
            LeaseHeld: if another learner still holds it after `wait_s`.
            RedisUnreachable: if the first attempt fails, or an attempt after `wait_s`.
        """
        if self.token and self._still_ours(server):
            self.server_id = server_id_of(server)
            return True
        deadline, holder = time.monotonic() + wait_s, None
        while not stop.requested:
            try:
                if self._take(server):
                    self.server_id = server_id_of(server)
                    return True
                holder = self._holder(server, holder)
                if time.monotonic() > deadline:
                    raise LeaseHeld(f"lease of run {self._keys.run}: held by learner {holder}, expected it to be free")
            except RedisUnreachable:
                if holder is None or time.monotonic() > deadline:
                    raise
            time.sleep(_POLL_S)
        return False

    def take_again(self, server: Server) -> bool:
        """Take the lease again after it was lost, unless another learner has had it since; whether it was taken.

        It may have expired while this process was paused or the server was busy, or its key was removed. The lease gets
        a new fencing number: what was sent under the old one is refused.
        """
        number = self.token.partition("-")[0]
        return bool(number) and self._take(server, number)

    def renew(self, server: Server) -> None:
        """Restart the lease's time to live. Raises LeaseLost if this learner does not hold the lease any more."""
        fenced(server, _RENEW, [self._keys.lease], self.token, self.ttl_ms)

    def release(self, server: Server) -> None:
        """Release the lease, so that a successor need not wait until it expires."""
        fenced(server, _RENEW, [self._keys.lease], self.token, 0)
        self.token = ""

    def _take(self, server: Server, last: str = "") -> bool:
        keys = [self._keys.lease, self._keys.fence]
        token = server.script(_ACQUIRE, keys, secrets.token_hex(4), self.ttl_ms, last)
        if token is not None:
            self.token = token.decode()
        return token is not None

    def _holder(self, server: Server, before: str | None) -> str:
        """The token of the lease's holder. Each change of the holder is logged."""
        holder: str = (server.call("GET", self._keys.lease) or b"nobody").decode()
        if holder != before:
            _log.info("standing by", run=self._keys.run, holder=holder)
        return holder

    def _still_ours(self, server: Server) -> bool:
        try:
            self.renew(server)
        except LeaseLost:
            return False
        return True


def server_id_of(server: Server) -> str:
    """The run_id of a server process. It changes at each restart, and a replica has another one."""
    found = re.search(rb"run_id:(\w+)", server.call("INFO", "server"))
    return found[1].decode() if found else ""


def fenced(server: Server, script: Script, keys: Sequence[str], *args: Argument) -> Reply:
    """Run a script that checks the lease first. Raises LeaseLost if this learner does not hold the lease any more."""
    try:
        return server.script(script, keys, *args)
    except ReplyError as error:
        if error.code == "FENCED":
            raise lost(error) from error
        raise


def lost(found: object) -> LeaseLost:
    """The error for a lost lease; `found` is the check that failed."""
    return LeaseLost(f"{found}: another learner took over, or this one was paused for too long")
