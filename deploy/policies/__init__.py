"""A policy outside of its run: loaded in a script, evaluated, filmed."""
