"""The side that plays: games, rollouts, and the processes that run them."""
