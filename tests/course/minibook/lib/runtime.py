"""What the build asks of `lib.runtime`."""


def describe():
    """The machine in words."""
    return "a machine for tests"
