"""Redis: the names of all keys, and the one module that imports the client."""
