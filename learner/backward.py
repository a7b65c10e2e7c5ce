"""The gradient of the network's outputs, by hand: the counterpart of `common.network.forward`.

Minibatches are small, so that an update's time goes into the number of array operations as much as into their size.
The hidden layers of policy and value function are therefore run as twins, [2, ...] arrays, where each has its own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..common.distributions import distribution
from ..common.network import LOG_STD, activate, forward

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ..common.actions import Actions
    from ..common.distributions import Distribution
    from ..common.network import Floats
    from ..common.spec import Activation, NetworkSpec
    from .parameters import Parameters


class Forward:
    """One pass of policy and value function over N observations, kept for the way back; good for one way back."""

    def __init__(self, params: Parameters, network: NetworkSpec, observations: Floats) -> None:
        self._params, self._activation, self._shared = params, network.activation, network.shared
        if network.shared:
            self._hidden = forward(params.views, "torso", observations, network.activation, head=False)
            self._tops = {"policy": self._hidden[-1], "value": self._hidden[-1]}
        else:
            self._hidden = _forward_twins(params, len(network.hidden), observations, network.activation)
            self._tops = dict(zip(("policy", "value"), self._hidden[-1], strict=True))
        self._last = 0 if network.shared else len(network.hidden)
        self.outputs = self._head("policy")  # [N, K]
        self.values = self._head("value")[:, 0]  # [N]

    def choice(self, actions: Actions, masks: NDArray[np.bool_] | None) -> Distribution:
        """The distribution of the N actions."""
        return distribution(actions, self.outputs, self._params.views.get(LOG_STD), masks)

    def backward(
        self, grads: Parameters, outputs_grad: Floats, values_grad: Floats, log_std_grad: Floats | None = None
    ) -> None:
        """Write the gradient of a loss into `grads`.

        Args:
            grads: overwritten; for the same network as the parameters.
            outputs_grad: [N, K], the loss's gradient with respect to the policy's outputs.
            values_grad: [N], the same with respect to the values.
            log_std_grad: [D], the same with respect to the deviations of a Gaussian policy.
        """
        if log_std_grad is not None:
            grads.views[LOG_STD][...] = log_std_grad
        heads = np.empty((2, *self._tops["value"].shape), outputs_grad.dtype)
        self._head_backward("policy", grads, outputs_grad, heads[0])
        self._head_backward("value", grads, values_grad[:, None], heads[1])
        if self._shared:
            weights, into, below = self._params.views, grads.views, heads[0] + heads[1]
            names = [f"torso/{{}}{layer}" for layer in range(len(self._hidden) - 1)]
        else:
            weights, into, below = self._params.twins, grads.twins, heads
            names = [f"{{}}{layer}" for layer in range(len(self._hidden) - 1)]
        ones = np.ones(len(values_grad), values_grad.dtype)  # BLAS sums columns faster than np.sum does
        for layer in reversed(range(len(names))):
            w, b = names[layer].format("w"), names[layer].format("b")
            _through_activation(self._hidden[layer + 1], below, self._activation)
            np.matmul(self._hidden[layer].swapaxes(-1, -2), below, out=into[w])
            np.matmul(ones, below, out=into[b])
            if layer:
                below = below @ weights[w].swapaxes(-1, -2)

    def _head(self, name: str) -> Floats:
        """The outputs [N, K] of a head, each output's in one piece: what follows goes along the rows."""
        views = self._params.views
        outputs = views[f"{name}/w{self._last}"].T @ self._tops[name].T
        outputs += views[f"{name}/b{self._last}"][:, None]
        return outputs.T

    def _head_backward(self, name: str, grads: Parameters, gradient: Floats, below: Floats) -> None:
        """Go back through a head; writes the gradient with respect to what is under it into `below` [N, H]."""
        np.matmul(self._tops[name].T, gradient, out=grads.views[f"{name}/w{self._last}"])
        gradient.sum(axis=0, out=grads.views[f"{name}/b{self._last}"])
        weights = self._params.views[f"{name}/w{self._last}"].T
        if gradient.shape[1] == 1:  # an outer product, for which matmul takes three times as long
            np.multiply(gradient, weights, out=below)
        else:
            np.matmul(gradient, weights, out=below)


def _forward_twins(params: Parameters, layers: int, observations: Floats, activation: Activation) -> list[Floats]:
    """The observations, and each hidden layer's outputs of policy and value function, [2, N, H]."""
    outputs = [observations]
    for layer in range(layers):
        output = outputs[-1] @ params.twins[f"w{layer}"]
        output += params.twins[f"b{layer}"][:, None]
        activate(output, activation)
        outputs.append(output)
    return outputs


def _through_activation(output: Floats, gradient: Floats, activation: Activation) -> None:
    """Multiply the gradient in place by the activation's derivative, which both can give from their output.

    The output is used up: it is needed no more, and fresh memory would cost more than the arithmetic.
    """
    if activation == "tanh":
        np.multiply(output, output, out=output)
        np.subtract(1, output, out=output)
        gradient *= output
    else:
        gradient *= output > 0
