"""Backpropagation through the multi-layer perceptron of `common.policy.network`.

Minibatches are small, so the time of an update depends on the number of array operations as much as on their size.
Therefore, if policy and value function have separate torsos, their hidden layers are computed together, as stacked
[2, ...] arrays.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ...common.policy.network import LOG_STD, activate

if TYPE_CHECKING:
    from ...common.policy.network import Floats
    from ...common.spec import Activation, NetworkSpec
    from .flat_parameters import Parameters


class Forward:
    """A forward pass of policy and value function over N observations. `backward` may be called once."""

    def __init__(
        self, params: Parameters, network: NetworkSpec, observations: Floats, *, with_values: bool = True
    ) -> None:
        """Run the forward pass.

        Args:
            params: the network's parameters.
            network: the network's spec.
            observations: [N, F], prepared by `common.policy.network.prepare`.
            with_values: False runs the policy only; `values` is then empty, and `backward` writes no gradient of them.
        """
        self._views, self._activation = params.views, network.activation
        self._last = 0 if network.shared else len(network.hidden)
        self._stacked = with_values and not network.shared
        stack = "" if self._stacked else "torso/" if network.shared else "policy/"
        self._names = [(f"{stack}w{layer}", f"{stack}b{layer}") for layer in range(len(network.hidden))]
        self._weights = params.stacked if self._stacked else params.views
        self._hidden = [observations]  # and each hidden layer's outputs, [N, H] or stacked [2, N, H]
        for w, b in self._names:
            output = self._hidden[-1] @ self._weights[w]
            output += self._weights[b][..., None, :]
            activate(output, network.activation)
            self._hidden.append(output)
        self.outputs = self._head("policy")  # [N, K]
        self.values = self._head("value")[:, 0] if with_values else self.outputs[:0, 0]  # [N]

    def backward(
        self,
        grads: Parameters,
        outputs_grad: Floats,
        values_grad: Floats | None = None,
        log_std_grad: Floats | None = None,
    ) -> None:
        """Write the gradient of a loss into `grads`.

        Args:
            grads: the gradient is written here; of the same network as the parameters.
            outputs_grad: [N, K], the loss's gradient with respect to the policy's outputs.
            values_grad: [N], with respect to the values; None if the pass was run without them.
            log_std_grad: [D], with respect to the log standard deviations of a Gaussian policy.
        """
        if log_std_grad is not None:
            grads.views[LOG_STD][...] = log_std_grad
        below = self._heads_backward(grads, outputs_grad, values_grad)
        into = grads.stacked if self._stacked else grads.views
        ones = np.ones(len(outputs_grad), outputs_grad.dtype)  # BLAS sums columns faster than np.sum does
        for layer, (w, b) in reversed(list(enumerate(self._names))):
            _through_activation(self._hidden[layer + 1], below, self._activation)
            np.matmul(self._hidden[layer].swapaxes(-1, -2), below, out=into[w])
            np.matmul(ones, below, out=into[b])
            if layer:
                below = below @ self._weights[w].swapaxes(-1, -2)

    def _top(self, name: str) -> Floats:
        """The input [N, H] of a head."""
        top = self._hidden[-1]
        return top[("policy", "value").index(name)] if self._stacked else top

    def _head(self, name: str) -> Floats:
        """The outputs [N, K] of a head, in Fortran order, because what follows works along the rows."""
        outputs = self._views[f"{name}/w{self._last}"].T @ self._top(name).T
        outputs += self._views[f"{name}/b{self._last}"][:, None]
        return outputs.T

    def _heads_backward(self, grads: Parameters, outputs_grad: Floats, values_grad: Floats | None) -> Floats:
        """Backpropagate through the heads. Returns the gradient with respect to their inputs, in their shape."""
        if values_grad is None:
            return self._head_backward("policy", grads, outputs_grad, np.empty_like(self._hidden[-1]))
        heads = np.empty((2, *self._top("value").shape), outputs_grad.dtype)
        self._head_backward("policy", grads, outputs_grad, heads[0])
        self._head_backward("value", grads, values_grad[:, None], heads[1])
        return heads if self._stacked else heads[0] + heads[1]

    def _head_backward(self, name: str, grads: Parameters, gradient: Floats, below: Floats) -> Floats:
        """Backpropagate through one head. Writes the gradient with respect to its input into `below` [N, H]."""
        np.matmul(self._top(name).T, gradient, out=grads.views[f"{name}/w{self._last}"])
        gradient.sum(axis=0, out=grads.views[f"{name}/b{self._last}"])
        weights = self._views[f"{name}/w{self._last}"].T
        if gradient.shape[1] == 1:  # an outer product, for which matmul takes three times as long
            return np.multiply(gradient, weights, out=below)
        return np.matmul(gradient, weights, out=below)


def _through_activation(output: Floats, gradient: Floats, activation: Activation) -> None:
    """Multiply the gradient in place by the activation's derivative, computed from the activation's output.

    Overwrites `output`, which is not needed afterwards: allocating memory would take longer than the arithmetic.
    """
    if activation == "tanh":
        np.multiply(output, output, out=output)
        np.subtract(1, output, out=output)
        gradient *= output
    else:
        gradient *= output > 0
