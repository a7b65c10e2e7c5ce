"""Which actors are read: they are found, admitted, looked at in turns, and struck off."""
