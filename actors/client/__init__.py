"""The client for a game that owns its loop: `connect`, the agent and its episodes, and its two threads."""
