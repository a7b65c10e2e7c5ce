"""The V-trace actor-critic of IMPALA."""
