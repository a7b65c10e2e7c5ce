"""Starting, watching and checking runs: the command line, the local launcher, the embedded server, container files."""
