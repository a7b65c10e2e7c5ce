"""Checks of a user's own game: its name, its arguments, what it returns, and where its errors come from."""
