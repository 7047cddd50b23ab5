# Anything but the strides of a fresh tensor overlaps.
# loses: test_addresses_collide

# %% solution="addresses_collide"
def addresses_collide(shape, stride):
    step, fresh = 1, []
    for size in reversed(shape):
        fresh.insert(0, step)
        step *= size
    return tuple(fresh) != tuple(stride)
