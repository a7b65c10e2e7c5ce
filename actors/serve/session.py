"""A conversation: what one client of `broodmind actors --serve` asks, and what it is told. Nothing here knows sockets.

An error that names an episode ends that episode, as nobody knows what became of it; one that names none ends the
conversation. What has been ended in either way is recorded as aborted, and never trained on.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import numpy as np

from ...common.errors import ConfigError, SpecMismatch
from ...common.process.clock import monotonic_s
from ..client.episode import ErrorPolicy
from ..client.fallback_policy import flags, uniform
from ..inference.batched_inference import InferenceRequest
from .protocol import PROTOCOL, Abort, Act, Begin, End, Hello, InvalidRequest, Reply, Reward, game_fields, parse

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from ..client.agent import Agent
    from ..client.episode import Episode
    from ..inference.batched_inference import Action
    from .request_batcher import Batch

MAX_EPISODES = 4096  # open at a time, of all clients together
_MAX_ERROR = 1000  # characters; some of them are the client's own
_POLL_S = 0.02


class ClientSession:
    """Of one connection, from its beginning to its end. For the event loop's thread."""

    def __init__(self, agent: Agent, batch: Batch, send: Callable[[Reply], None]) -> None:
        self._agent, self._batch, self._send = agent, batch, send
        self._hello: Hello | None = None
        self._episodes: dict[int, Episode] = {}
        self._rng = np.random.default_rng()

    async def handle(self, data: bytes) -> bool:
        """Deal with one message; whether the conversation goes on."""
        try:
            request = parse(data)
            if isinstance(request, Hello):
                await self._greet(request)
            else:
                self._answer(request)
        except InvalidRequest as refused:
            return self.refuse(refused)
        return True

    def refuse(self, refused: InvalidRequest) -> bool:
        """Tell what was wrong, and end what it was wrong with; whether the conversation goes on."""
        error = str(refused)[:_MAX_ERROR]
        if refused.id is not None:
            self._abort(refused.id, error)
        self._send({"type": "error", "id": refused.id, "error": error})
        return refused.id is not None

    def close(self, reason: str) -> None:
        """Abort what is still open."""
        for episode_id in list(self._episodes):
            self._abort(episode_id, reason)

    async def _greet(self, hello: Hello) -> None:
        if self._hello is not None:
            raise InvalidRequest("type: a second hello, expected one")
        deadline = monotonic_s() + hello.wait_s
        while not self._agent.status.version and monotonic_s() < deadline:  # noqa: ASYNC110 - a thread brings it
            await asyncio.sleep(_POLL_S)
        spec, status = self._agent.spec, self._agent.status
        if spec is not None:
            try:
                hello.check(spec.game)
            except SpecMismatch as error:
                raise InvalidRequest(str(error)) from error
        self._hello = hello
        game = game_fields(spec.game) if spec else None
        self._send(
            {"type": "hello", "protocol": PROTOCOL, "actor": status.actor, "version": status.version, "game": game}
        )

    def _answer(self, request: Begin | Act | Reward | End | Abort) -> None:
        if self._hello is None:
            raise InvalidRequest(f"type: {type(request).__name__.lower()!r} before a hello, expected a hello")
        try:
            if isinstance(request, Begin):
                self._begin(request, self._hello)
            else:
                self._play(request)
        except (ConfigError, SpecMismatch) as error:
            raise InvalidRequest(str(error), request.id) from error

    def _begin(self, request: Begin, hello: Hello) -> None:
        if request.id in self._episodes:
            raise ConfigError(f"id: {request.id} is that of an open episode, expected another one")
        if self._agent.status.playing >= MAX_EPISODES:
            raise ConfigError(f"episode: {MAX_EPISODES} are open, expected fewer")
        episode = self._agent.begin(request.labels, self._improvise if hello.actions else None, ErrorPolicy())
        self._episodes[request.id] = episode
        if episode.game is not None:
            hello.check(episode.game)  # there was no run yet when it was said
        self._send({"type": "episode", "id": request.id, "version": episode.version})

    def _play(self, request: Act | Reward | End | Abort) -> None:
        episode = self._episodes.get(request.id)
        if episode is None:
            raise ConfigError(f"id: {request.id}, expected that of an open episode")
        if episode in self._batch:  # its last question is yet to be answered, and comes first
            self._batch.run_inference()
        match request:
            case Act(episode_id, observation, mask):
                asked = episode.ask(_shaped(observation, episode), mask)
                if isinstance(asked, InferenceRequest):
                    self._batch.add(episode, asked, lambda move: self._move(episode_id, move))
                else:
                    self._move(episode_id, asked.move)
            case Reward(_, value):
                episode.reward(value)
            case End(episode_id, outcome, reward, observation):
                final = None if observation is None else _shaped(observation, episode)
                episode.end(outcome, reward, final)  # type: ignore[arg-type] # checked there
                self._tell_end("end", episode_id, episode)
            case Abort(episode_id, reason):
                episode.abort(reason)
                self._tell_end("abort", episode_id, episode)

    def _move(self, episode_id: int, move: Action) -> None:
        self._send({"type": "act", "id": episode_id, "action": move.tolist() if isinstance(move, np.ndarray) else move})

    def _tell_end(self, kind: str, episode_id: int, episode: Episode) -> None:
        del self._episodes[episode_id]
        attempt = episode.attempt
        assert attempt is not None
        self._send(
            {
                "type": kind,
                "id": episode_id,
                "steps": attempt.steps,
                "return": attempt.total_reward,
                "outcome": attempt.outcome,
                "trained_on": attempt.trained_on,
                "reason": attempt.reason,
            }
        )

    def _abort(self, episode_id: int, reason: str) -> None:
        episode = self._episodes.pop(episode_id, None)
        if episode is not None:
            episode.abort(reason)

    def _improvise(self, _observation: Any, mask: Any) -> Action:  # noqa: ANN401 - whatever the game has
        """Without a policy, what the client itself said of its actions is known."""
        assert self._hello is not None
        assert self._hello.actions is not None
        return uniform(self._hello.actions, flags(mask), self._rng)


def _shaped(flat: NDArray[np.float32], episode: Episode) -> NDArray[np.float32]:
    game = episode.game
    if game is None:
        return flat
    if flat.size != game.features:
        raise ConfigError(f"observation: {flat.size} numbers, expected {game.features} ({game.observation_shape})")
    return flat.reshape(game.observation_shape)
