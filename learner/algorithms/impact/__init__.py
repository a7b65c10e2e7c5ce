"""IMPACT: PPO's clipped steps on V-trace's advantages."""
