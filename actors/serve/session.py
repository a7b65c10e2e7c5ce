"""The session of one client of `broodmind actors --serve`: handles its requests and sends the replies. No socket I/O.

An error with an episode id aborts that episode, because its state is unknown. An error without an id ends the session
and aborts all its episodes. Aborted episodes are recorded and not trained on.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import numpy as np

from ...common.errors import ConfigError, SpecMismatch
from ...common.process.clock import monotonic_s
from ..client.episode import ErrorPolicy
from ..client.fallback_policy import as_flags, uniform
from ..inference.batched_inference import InferenceRequest
from .protocol import PROTOCOL, Abort, Act, Begin, End, Hello, InvalidRequest, LogMetric, Reward, game_fields, parse

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from ..client.agent import Agent
    from ..client.episode import Episode
    from ..inference.batched_inference import Action
    from .protocol import OfEpisode, Reply
    from .request_batcher import RequestBatcher

_MAX_ERROR = 1000  # characters; an error message may quote what the client sent
_POLL_S = 0.02


class ClientSession:
    """The session of one connection. For the event loop's thread only."""

    def __init__(self, agent: Agent, batcher: RequestBatcher, send: Callable[[Reply], None], max_episodes: int) -> None:
        """Make the session; `max_episodes` may be open at a time, of all clients together."""
        self._agent, self._batcher, self._send, self._max_episodes = agent, batcher, send, max_episodes
        self._hello: Hello | None = None
        self._episodes: dict[int, Episode] = {}
        self._rng = np.random.default_rng()

    async def handle(self, data: bytes) -> bool:
        """Handle one message. Returns False if the session must end."""
        try:
            request = parse(data)
            if isinstance(request, Hello):
                await self._handle_hello(request)
            else:
                self._handle_request(request)
        except InvalidRequest as error:
            return self.send_error(error)
        return True

    def send_error(self, error: InvalidRequest) -> bool:
        """Send the error, and abort its episode. Returns False if the session must end: the error has no id."""
        message = str(error)[:_MAX_ERROR]
        if error.id is not None:
            self._abort(error.id, message)
        self._send({"type": "error", "id": error.id, "error": message})
        return error.id is not None

    def close(self, reason: str) -> None:
        """Abort what is still open."""
        for episode_id in list(self._episodes):
            self._abort(episode_id, reason)

    async def _handle_hello(self, hello: Hello) -> None:
        if self._hello is not None:
            raise InvalidRequest("type: a second hello, expected one")
        deadline = monotonic_s() + hello.wait_s
        while not self._agent.status.version and monotonic_s() < deadline:  # noqa: ASYNC110 - another thread sets it
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

    def _handle_request(self, request: Begin | OfEpisode) -> None:
        if self._hello is None:
            raise InvalidRequest(f"type: {type(request).__name__.lower()!r} before a hello, expected a hello")
        try:
            if isinstance(request, Begin):
                self._begin(request, self._hello)
            else:
                self._handle_episode_request(request)
        except (ConfigError, SpecMismatch) as error:
            raise InvalidRequest(str(error), request.id) from error

    def _begin(self, request: Begin, hello: Hello) -> None:
        if request.id in self._episodes:
            raise ConfigError(f"id: {request.id} is that of an open episode, expected another one")
        if self._agent.status.playing >= self._max_episodes:
            raise ConfigError(f"episode: {self._max_episodes} are open, expected fewer")
        episode = self._agent.begin(request.labels, self._fallback_action if hello.actions else None, ErrorPolicy())
        self._episodes[request.id] = episode
        if episode.game is not None:
            hello.check(episode.game)  # again, because there may have been no run when the hello arrived
        self._send({"type": "episode", "id": request.id, "version": episode.version})

    def _handle_episode_request(self, request: OfEpisode) -> None:
        episode = self._episodes.get(request.id)
        if episode is None:
            raise ConfigError(f"id: {request.id}, expected that of an open episode")
        if episode in self._batcher:  # its last request must be answered first
            self._batcher.run()
        match request:
            case Act(episode_id, observation, mask):
                requested = episode.ask(_shaped(observation, episode), mask)
                if isinstance(requested, InferenceRequest):
                    self._batcher.add(episode, requested, lambda action: self._send_action(episode_id, action))
                else:
                    self._send_action(episode_id, requested.action)
            case Reward(_, value):
                episode.reward(value)
            case LogMetric(_, name, value):
                episode.log(name, value)
            case End(episode_id, outcome, reward, observation):
                final = None if observation is None else _shaped(observation, episode)
                episode.end(outcome, reward, final)  # type: ignore[arg-type] # checked there
                self._send_end("end", episode_id, episode)
            case Abort(episode_id, reason):
                episode.abort(reason)
                self._send_end("abort", episode_id, episode)

    def _send_action(self, episode_id: int, action: Action) -> None:
        self._send(
            {"type": "act", "id": episode_id, "action": action.tolist() if isinstance(action, np.ndarray) else action}
        )

    def _send_end(self, kind: str, episode_id: int, episode: Episode) -> None:
        del self._episodes[episode_id]
        record = episode.record
        assert record is not None
        self._send(
            {
                "type": kind,
                "id": episode_id,
                "steps": record.steps,
                "return": record.total_reward,
                "outcome": record.outcome,
                "trained_on": record.trained_on,
                "reason": record.reason,
            }
        )

    def _abort(self, episode_id: int, reason: str) -> None:
        episode = self._episodes.pop(episode_id, None)
        if episode is not None:
            episode.abort(reason)

    def _fallback_action(self, _observation: Any, mask: Any) -> Action:  # noqa: ANN401 - of any game
        """An action drawn uniformly from the action space in the hello, for games without a policy."""
        assert self._hello is not None
        assert self._hello.actions is not None
        return uniform(self._hello.actions, as_flags(mask), self._rng)


def _shaped(flat: NDArray[np.float32], episode: Episode) -> NDArray[np.float32]:
    game = episode.game
    if game is None:
        return flat
    if flat.size != game.features:
        raise ConfigError(f"observation: {flat.size} numbers, expected {game.features} ({game.observation_shape})")
    return flat.reshape(game.observation_shape)
