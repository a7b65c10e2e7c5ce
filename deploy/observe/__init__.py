"""Views of a running run: `status`."""
