"""A learner in a process of its own that a certain trajectory kills.

It ends like a process that crashes in native code: at once, without a message and without releasing the lease.
"""

from __future__ import annotations

import multiprocessing
import os
from contextlib import contextmanager
from dataclasses import replace

import numpy as np
from support.runs import SPEC, make_header, trajectory

from broodmind.common.process.shutdown import stop_on_signal
from broodmind.common.wire.trajectory import encode_trajectory
from broodmind.learner import loop
from broodmind.learner.algorithms.batch import collate
from broodmind.learner.config import IntakeConfig, LearnerConfig, LeaseConfig
from broodmind.learner.ingest.cached_layout_decoder import CachedLayoutDecoder
from broodmind.learner.ingest.ingest_thread import IngestThread
from broodmind.learner.run import training_step

EXIT_CODE = 139
_MARK = 666.0
# Forks of a process that has imported everything: a learner that dies is started again and again.
_processes = multiprocessing.get_context("forkserver")
_processes.set_forkserver_preload(["broodmind.learner.loop", "broodmind.actors.transport.blocking_connection"])


def deadly(actor):
    """The fields of an XADD with a valid trajectory that kills this learner."""
    played = trajectory()
    played = replace(played, rewards=np.full_like(played.rewards, _MARK))
    header = make_header(1, 1, played.steps, played.episodes, created_ms=10**12 * 2)
    return header.fields(encode_trajectory(played, actor, SPEC))


def dies_of_it(function, rewards_of):
    def wrapped(*arguments):
        result = function(*arguments)
        if (rewards_of(result) == _MARK).any():
            os._exit(EXIT_CODE)
        return result

    return wrapped


@contextmanager
def learner(url, run, where):
    """Run a learner that dies in "decode" or in "train", that "never takes" what it has read, or that dies "nowhere".

    It is killed at the end of the block.
    """
    process = _processes.Process(target=_learn, args=(url, run, where), daemon=True)
    process.start()
    try:
        yield process
    finally:
        process.kill()
        process.join()


def _learn(url, name, where):
    if where == "decode":
        whole = CachedLayoutDecoder.decode
        CachedLayoutDecoder.decode = dies_of_it(whole, lambda decoded: decoded.rewards)
    elif where == "train":
        vars(training_step)["collate"] = dies_of_it(collate, lambda batch: batch.rewards)
    elif where == "never takes":
        IngestThread.take = lambda _self, _timeout_s: None
    # In the first two cases more steps than there are: no batch becomes complete, so that all entries are pending.
    intake = IntakeConfig(batch_steps=48 if where in {"decode", "train"} else 8, max_staleness=1000, max_age=1e12)
    with stop_on_signal() as stop:
        loop.learn(url, name, SPEC, LearnerConfig(intake=intake, lease=LeaseConfig(lease_ttl=60)), stop)
