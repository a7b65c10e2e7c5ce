"""The policy's forward pass: the network and the distributions of actions."""
