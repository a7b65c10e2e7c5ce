"""The gradient of the network's outputs, by hand: the counterpart of `common.network.forward`.

Minibatches are small, so that an update's time goes into the number of array operations as much as into their size.
The hidden layers of policy and value function are therefore run as twins, [2, ...] arrays, where each has its own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ...common.policy.distributions import distribution
from ...common.policy.network import LOG_STD, activate

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ...common.actions import ActionSpace
    from ...common.policy.distributions import Distribution
    from ...common.policy.network import Floats
    from ...common.spec import Activation, NetworkSpec
    from .flat_parameters import Parameters


class Forward:
    """One pass of policy and value function over N observations, kept for the way back; good for one way back."""

    def __init__(
        self, params: Parameters, network: NetworkSpec, observations: Floats, *, with_values: bool = True
    ) -> None:
        """`with_values=False` runs the policy alone: `values` is empty then, and none of their gradient is written."""
        self._views, self._activation = params.views, network.activation
        self._last = 0 if network.shared else len(network.hidden)
        self._twins = with_values and not network.shared
        stack = "" if self._twins else "torso/" if network.shared else "policy/"
        self._names = [(f"{stack}w{layer}", f"{stack}b{layer}") for layer in range(len(network.hidden))]
        self._weights = params.stacked if self._twins else params.views
        self._hidden = [observations]  # and each layer's outputs [N, H]; of twins [2, N, H]
        for w, b in self._names:
            output = self._hidden[-1] @ self._weights[w]
            output += self._weights[b][..., None, :]
            activate(output, network.activation)
            self._hidden.append(output)
        self.outputs = self._head("policy")  # [N, K]
        self.values = self._head("value")[:, 0] if with_values else self.outputs[:0, 0]  # [N]

    def choice(self, actions: ActionSpace, masks: NDArray[np.bool_] | None) -> Distribution:
        """The distribution of the N actions."""
        return distribution(actions, self.outputs, self._views.get(LOG_STD), masks)

    def backward(
        self,
        grads: Parameters,
        outputs_grad: Floats,
        values_grad: Floats | None = None,
        log_std_grad: Floats | None = None,
    ) -> None:
        """Write the gradient of a loss into `grads`.

        Args:
            grads: overwritten; for the same network as the parameters.
            outputs_grad: [N, K], the loss's gradient with respect to the policy's outputs.
            values_grad: [N], the same with respect to the values; None where the pass was without them.
            log_std_grad: [D], the same with respect to the deviations of a Gaussian policy.
        """
        if log_std_grad is not None:
            grads.views[LOG_STD][...] = log_std_grad
        below = self._heads_backward(grads, outputs_grad, values_grad)
        into = grads.stacked if self._twins else grads.views
        ones = np.ones(len(outputs_grad), outputs_grad.dtype)  # BLAS sums columns faster than np.sum does
        for layer, (w, b) in reversed(list(enumerate(self._names))):
            _through_activation(self._hidden[layer + 1], below, self._activation)
            np.matmul(self._hidden[layer].swapaxes(-1, -2), below, out=into[w])
            np.matmul(ones, below, out=into[b])
            if layer:
                below = below @ self._weights[w].swapaxes(-1, -2)

    def _top(self, name: str) -> Floats:
        """What a head stands on, [N, H]."""
        top = self._hidden[-1]
        return top[("policy", "value").index(name)] if self._twins else top

    def _head(self, name: str) -> Floats:
        """The outputs [N, K] of a head, each output's in one piece: what follows goes along the rows."""
        outputs = self._views[f"{name}/w{self._last}"].T @ self._top(name).T
        outputs += self._views[f"{name}/b{self._last}"][:, None]
        return outputs.T

    def _heads_backward(self, grads: Parameters, outputs_grad: Floats, values_grad: Floats | None) -> Floats:
        """Go back through the heads; the gradient with respect to what they stand on, in its shape."""
        if values_grad is None:
            return self._head_backward("policy", grads, outputs_grad, np.empty_like(self._hidden[-1]))
        heads = np.empty((2, *self._top("value").shape), outputs_grad.dtype)
        self._head_backward("policy", grads, outputs_grad, heads[0])
        self._head_backward("value", grads, values_grad[:, None], heads[1])
        return heads if self._twins else heads[0] + heads[1]

    def _head_backward(self, name: str, grads: Parameters, gradient: Floats, below: Floats) -> Floats:
        """Go back through a head; writes the gradient with respect to what is under it into `below` [N, H]."""
        np.matmul(self._top(name).T, gradient, out=grads.views[f"{name}/w{self._last}"])
        gradient.sum(axis=0, out=grads.views[f"{name}/b{self._last}"])
        weights = self._views[f"{name}/w{self._last}"].T
        if gradient.shape[1] == 1:  # an outer product, for which matmul takes three times as long
            return np.multiply(gradient, weights, out=below)
        return np.matmul(gradient, weights, out=below)


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
