"""Acting: a pulled version of the policy, its exploration noise, and one forward pass for many requests."""
