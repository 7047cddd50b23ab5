"""Reinforcement learning: values from data, when no model is given."""
