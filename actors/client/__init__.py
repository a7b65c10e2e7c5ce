"""The client for a game that owns its loop: `connect`, the agent and its episodes, and the threads behind them."""
