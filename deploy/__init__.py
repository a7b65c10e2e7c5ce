"""How the system is put up: the command line, the local launcher, the embedded server, container files."""
