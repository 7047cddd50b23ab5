"""Reparameterization: gradients of expectations, and of functions that have none."""
