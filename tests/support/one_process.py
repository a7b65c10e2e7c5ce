"""A run in one process without a server, of the real parts: rollouts, batcher, learner state. It is repeatable."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from broodmind.actors.games.registry import make_game
from broodmind.actors.inference.policy import Policy
from broodmind.actors.rollout import make_rollout
from broodmind.common.policy.network import shapes
from broodmind.common.process.seeding import Role, generator, integer_seed
from broodmind.common.spec import NetworkSpec, RolloutSpec, RunSpec
from broodmind.common.wire.entry_header import Header
from broodmind.common.wire.weights import Pointer, decode_weights, digest
from broodmind.deploy.policies.evaluation import Plan, evaluate
from broodmind.learner.config import IntakeConfig, LearnerConfig
from broodmind.learner.ledger.head import Head
from broodmind.learner.ledger.stream_entry import Entry
from broodmind.learner.run.run_state import RunState

if TYPE_CHECKING:
    from collections.abc import Callable

    from broodmind.common.wire.trajectory import Trajectory
    from broodmind.learner.algorithms.registry import AlgorithmConfig

NOW_MS = 1_700_000_000_000
COPIES, LENGTH = 16, 128


@dataclass(slots=True)
class OneProcessRun:
    """A run of a Gymnasium game, with what its updates said."""

    name: str
    config: AlgorithmConfig
    seed: int = 1
    normalize: bool = True
    entries: int = 4  # a batch; each is of COPIES / entries games
    noise_correlation: float = 0.0
    state: RunState = field(init=False)
    spec: RunSpec = field(init=False)
    metrics: list[dict[str, float]] = field(default_factory=list, init=False)

    def __post_init__(self) -> None:
        """Begin the run, with its first version."""
        whole = self.config.WHOLE_EPISODES
        copies = COPIES // self.entries
        games = [make_game(self.name, copies, {}, masked=None) for _ in range(self.entries)]
        unroll = "games" if whole else "steps"
        rollout = RolloutSpec(
            unroll=unroll, fragment_length=512 if whole else LENGTH, noise_correlation=self.noise_correlation
        )
        network = NetworkSpec(normalize_observations=self.normalize)
        self.spec = RunSpec(games[0].spec, network, rollout, self.seed)
        batch = IntakeConfig(batch_steps=0 if whole else COPIES * LENGTH, batch_games=16 if whole else 0)
        self.state = RunState("x", self.spec, LearnerConfig(self.config, batch))
        self.state.first_version(Head(), 1)
        self._rollouts = [
            make_rollout(
                game,
                self.spec,
                integer_seed(self.seed, Role.GAME, number),
                generator(self.seed, Role.ACTIONS, number),
            )
            for number, game in enumerate(games)
        ]
        self._sent = [0] * self.entries

    _rollouts: list = field(init=False, repr=False)
    _sent: list = field(init=False, repr=False)

    def policy(self) -> Policy:
        """The last version."""
        weights = self.state.trainer.weights()
        params = decode_weights(weights, digest(weights), self.spec)
        assert shapes(self.spec.network, self.spec.game).keys() <= params.keys()
        head = self.state.head
        return Policy(Pointer(head.epoch, head.version, head.commit, "", 0), params, self.spec)

    def update(self, change: Callable[[Trajectory], Trajectory] | None = None) -> None:
        """Play and train on one batch, of which `change` changes the last entry that arrives."""
        batcher, policy = self.state.new_batcher(), self.policy()
        while not batcher.complete:
            for number, rollout in enumerate(self._rollouts):
                for fragment in rollout.play(policy):
                    self._sent[number] += 1
                    played = fragment.trajectory
                    if change is not None and number == self.entries - 1:
                        played, change = change(played), None
                    head = self.state.head
                    header = Header(
                        head.epoch,
                        (head.version, head.version),
                        played.steps,
                        NOW_MS,
                        (head.commit, head.commit),
                        played.episodes,
                    )
                    entry = Entry(f"actor{number}", (1, self._sent[number]), header, played)
                    batcher.add(entry, self.state.standing, NOW_MS)
        metrics = self.state.train(batcher)
        self.metrics.append(dict(metrics))
        self.state.commit(batcher, metrics, [f"actor{number}" for number in range(self.entries)])

    def greedy(self, episodes: int = 20) -> float:
        """The mean return of greedy games."""
        return float(np.mean(evaluate(self.policy(), self.name, Plan(episodes, seed=7)).returns))
