"""Which version of the policy plays a client's game: the newest, one that is evaluated, or one that was asked for."""
