"""The policy's forward pass: networks, actions, distributions."""
