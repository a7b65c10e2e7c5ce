"""One configuration: every setting in one tree, from which every form of it is made."""
