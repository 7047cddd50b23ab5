"""Foundations: what a tensor is in memory, and the course's way of working."""
