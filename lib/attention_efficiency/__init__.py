"""Attention efficiency: the same attention with less traffic, and cheaper ones."""
