"""What both sides use: keys, the wire, specs, the policy's forward pass, errors, shutdown, the Redis stream module."""
