"""Centring: every vector loses its own mean."""


def centre(x):
    """Subtract from each vector of `x`, along the last axis, its mean."""
    return x - x.mean(-1, keepdim=True)


def spread(x):
    """The largest entry of each vector minus its smallest."""
    return x.amax(-1) - x.amin(-1)
