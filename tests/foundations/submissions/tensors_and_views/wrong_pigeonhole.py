# Fewer places between the ends than elements: enough, but not necessary.
# loses: test_addresses_collide

# %% solution="addresses_collide"
import math


def addresses_collide(shape, stride):
    last = sum((size - 1) * step for size, step in zip(shape, stride))
    return math.prod(shape) > last + 1
