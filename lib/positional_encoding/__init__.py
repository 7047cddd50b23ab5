"""Positional encoding: where order enters attention, and what survives of it."""
