"""Inference on the actors: one version of the policy, exploration noise, and batched requests."""
