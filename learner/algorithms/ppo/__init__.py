"""Proximal policy optimisation, plain and decoupled."""
