"""Averages, and what is left without them."""
