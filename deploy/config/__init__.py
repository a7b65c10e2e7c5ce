"""The configuration: all settings in one tree, from which every form of them is made."""
