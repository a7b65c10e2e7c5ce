"""The gradient of the network's outputs, by hand: the counterpart of `common.network.forward`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..common.distributions import distribution
from ..common.network import LOG_STD, forward

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ..common.actions import Actions
    from ..common.distributions import Distribution
    from ..common.network import Floats, Params
    from ..common.spec import Activation, NetworkSpec


class Forward:
    """One pass of policy and value function over N observations, kept for the way back."""

    def __init__(self, params: Params, network: NetworkSpec, observations: Floats) -> None:
        self._params, self._network = params, network
        self._torso: list[Floats] | None = None
        if network.shared:
            self._torso = forward(params, "torso", observations, network.activation, head=False)
            observations = self._torso[-1]
        self._policy = forward(params, "policy", observations, network.activation)
        self._value = forward(params, "value", observations, network.activation)

    @property
    def outputs(self) -> Floats:
        """[N, K] of the policy's head."""
        return self._policy[-1]

    def choice(self, actions: Actions, masks: NDArray[np.bool_] | None) -> Distribution:
        """The distribution of the N actions."""
        return distribution(actions, self.outputs, self._params.get(LOG_STD), masks)

    @property
    def values(self) -> Floats:
        """[N]."""
        return self._value[-1][:, 0]

    def backward(
        self, grads: Params, outputs_grad: Floats, values_grad: Floats, log_std_grad: Floats | None = None
    ) -> None:
        """Write the gradient of a loss into `grads`.

        Args:
            grads: overwritten; same names and shapes as the parameters.
            outputs_grad: [N, K], the loss's gradient with respect to the policy's outputs. Overwritten.
            values_grad: [N], the same with respect to the values. Overwritten.
            log_std_grad: [D], the same with respect to the deviations of a Gaussian policy.
        """
        if log_std_grad is not None:
            grads[LOG_STD][...] = log_std_grad
        activation = self._network.activation
        below = self._torso is not None
        from_policy = backward(self._params, grads, "policy", self._policy, outputs_grad, activation, inputs=below)
        from_value = backward(self._params, grads, "value", self._value, values_grad[:, None], activation, inputs=below)
        if self._torso is not None:
            assert from_policy is not None
            assert from_value is not None
            backward(self._params, grads, "torso", self._torso, from_policy + from_value, activation, head=False)


def backward(
    params: Params,
    grads: Params,
    name: str,
    outputs: list[Floats],
    gradient: Floats,
    activation: Activation,
    *,
    head: bool = True,
    inputs: bool = False,
) -> Floats | None:
    """Go back through one stack of dense layers.

    Args:
        params: the network's parameters.
        grads: where to write the gradient of this stack's parameters.
        name: the stack: torso, policy or value.
        outputs: what `forward` returned for it.
        gradient: [N, fan out] of the loss with respect to its result. Overwritten.
        activation: between the layers.
        head: whether the last layer is linear.
        inputs: whether the gradient with respect to the inputs is wanted too.

    Returns:
        [N, fan in] where `inputs` asks for it.
    """
    layers = len(outputs) - 1
    ones = np.ones(len(gradient), gradient.dtype)  # BLAS sums columns faster than np.sum does
    for layer in reversed(range(layers)):
        if not head or layer < layers - 1:
            _through_activation(outputs[layer + 1], gradient, activation)
        np.matmul(outputs[layer].T, gradient, out=grads[f"{name}/w{layer}"])
        np.matmul(ones, gradient, out=grads[f"{name}/b{layer}"])
        if layer > 0 or inputs:
            gradient = gradient @ params[f"{name}/w{layer}"].T
    return gradient if inputs else None


def _through_activation(output: Floats, gradient: Floats, activation: Activation) -> None:
    """Multiply in place by the activation's derivative, which both can give from their output."""
    if activation == "tanh":
        gradient *= 1 - output * output
    else:
        gradient *= output > 0
