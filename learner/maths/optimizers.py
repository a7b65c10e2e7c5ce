"""Optimizers of one parameter vector. All their state is in named arrays, which are stored with the run.

`dtype` is the state's: float32, as the parameters', or float64 to compare a formula without rounding.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Protocol

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import DTypeLike

    from ...common.policy.network import Floats
    from ...common.wire.codec import Array
    from .optimizer_name import OptimizerName


class Optimizer(Protocol):
    """Updates parameters with a gradient."""

    def step(self, params: Floats, gradient: Floats, rate: float | Floats) -> None:
        """Update `params` [P] in place with the learning rate `rate`, for all or [P]. May overwrite `gradient` [P]."""

    def state(self) -> dict[str, Array]:
        """Copies of everything that the next step depends on."""

    def restore(self, state: dict[str, Array]) -> None:
        """Continue from a result of `state`, bit for bit."""


class SGD:
    """Stochastic gradient descent with momentum (0: none): m <- mu m + g; p <- p - rate m."""

    def __init__(self, size: int, momentum: float = 0.0, *, dtype: DTypeLike = np.float32) -> None:
        self._momentum = momentum
        self._velocity: Floats = np.zeros(size if momentum else 0, dtype)

    def step(self, params: Floats, gradient: Floats, rate: float | Floats) -> None:
        """See Optimizer."""
        if self._momentum:
            self._velocity *= self._momentum
            self._velocity += gradient
            gradient = self._velocity
        params -= rate * gradient

    def state(self) -> dict[str, Array]:
        """See Optimizer."""
        return {"velocity": self._velocity.copy()}

    def restore(self, state: dict[str, Array]) -> None:
        """See Optimizer."""
        self._velocity[...] = state["velocity"]


class Adam:
    """Adam (Kingma and Ba 2014, arXiv 1412.6980, algorithm 1, with the bias corrections folded into the rate)."""

    def __init__(
        self,
        size: int,
        beta1: float = 0.9,
        beta2: float = 0.999,
        epsilon: float = 1e-5,
        decay: float = 0.0,
        *,
        dtype: DTypeLike = np.float32,
    ) -> None:
        self._beta1, self._beta2, self._epsilon = beta1, beta2, epsilon
        self._decay = decay  # weight decay, decoupled from the gradient: AdamW (Loshchilov and Hutter, 1711.05101)
        self._mean: Floats = np.zeros(size, dtype)
        self._square: Floats = np.zeros(size, dtype)
        self._steps = np.zeros(1, np.int64)
        self._scratch: Floats = np.zeros(size, dtype)

    def step(self, params: Floats, gradient: Floats, rate: float | Floats) -> None:
        """See Optimizer."""
        self._steps += 1
        steps = int(self._steps[0])
        np.subtract(gradient, self._mean, out=self._scratch)
        self._scratch *= 1 - self._beta1
        self._mean += self._scratch
        np.multiply(gradient, gradient, out=gradient)
        gradient -= self._square
        gradient *= 1 - self._beta2
        self._square += gradient
        correction2 = math.sqrt(1 - self._beta2**steps)
        np.sqrt(self._square, out=self._scratch)
        self._scratch += self._epsilon * correction2
        np.divide(self._mean, self._scratch, out=self._scratch)
        self._scratch *= rate * correction2 / (1 - self._beta1**steps)
        if self._decay:
            params *= 1 - rate * self._decay
        params -= self._scratch

    def state(self) -> dict[str, Array]:
        """See Optimizer."""
        return {"mean": self._mean.copy(), "square": self._square.copy(), "steps": self._steps.copy()}

    def restore(self, state: dict[str, Array]) -> None:
        """See Optimizer."""
        self._mean[...] = state["mean"]
        self._square[...] = state["square"]
        self._steps[...] = state["steps"]


class RMSProp:
    """RMSProp (Tieleman and Hinton 2012): s <- rho s + (1 - rho) g^2; p <- p - rate g / (sqrt(s) + epsilon)."""

    def __init__(self, size: int, rho: float = 0.99, epsilon: float = 1e-5, *, dtype: DTypeLike = np.float32) -> None:
        self._rho, self._epsilon = rho, epsilon
        self._square: Floats = np.zeros(size, dtype)

    def step(self, params: Floats, gradient: Floats, rate: float | Floats) -> None:
        """See Optimizer."""
        self._square *= self._rho
        self._square += (1 - self._rho) * gradient * gradient
        params -= rate * gradient / (np.sqrt(self._square) + self._epsilon)

    def state(self) -> dict[str, Array]:
        """See Optimizer."""
        return {"square": self._square.copy()}

    def restore(self, state: dict[str, Array]) -> None:
        """See Optimizer."""
        self._square[...] = state["square"]


def make_optimizer(name: OptimizerName, size: int) -> Optimizer:
    """The optimizer of that name for `size` parameters."""
    match name:
        case "adam":
            return Adam(size)
        case "adamw":
            return Adam(size, decay=0.01)
        case "rmsprop":
            return RMSProp(size)
        case "sgd":
            return SGD(size, momentum=0.9)


def clip_norms_apart(parts: Sequence[Sequence[Floats]], limit: float) -> list[float]:
    """Scale the gradient of each part in place to a norm of at most `limit`.

    A value function's gradient grows with the rewards. With one norm for policy and value function it decides how much
    of the policy's gradient is left: at a return of 100, some hundredths.

    Args:
        parts: for each part its gradients, [P] each.
        limit: of each part's norm.

    Returns:
        The norm of each part before.
    """
    norms = [_norm(part) for part in parts]
    for part, norm in zip(parts, norms, strict=True):
        if norm > limit:
            for gradient in part:
                np.multiply(gradient, limit / norm, out=gradient)
    return norms


def _norm(part: Sequence[Floats]) -> float:
    norm = math.sqrt(sum(float(np.vdot(each, each)) for each in part))
    # In single precision the square of 2e19 overflows; such a gradient must be clipped too.
    if math.isinf(norm) and part[0].dtype != np.float64:
        return _norm([each.astype(np.float64) for each in part])
    return norm
