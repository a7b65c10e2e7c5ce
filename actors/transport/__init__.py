"""An actor's connection to its run: entries are numbered, sent, acknowledged, and sent again after a break."""
