"""Views of a running run: `status`, and the display of `up`."""
