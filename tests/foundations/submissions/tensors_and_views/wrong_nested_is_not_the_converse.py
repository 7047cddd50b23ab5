# Not nested, hence overlapping: true for most layouts.
# loses: test_addresses_collide

# %% solution="addresses_collide"
def addresses_collide(shape, stride):
    if 0 in shape:
        return False
    reach = 0
    for s, n in sorted((s, n) for s, n in zip(stride, shape) if n > 1):
        if s <= reach:
            return True
        reach = reach + s * (n - 1)
    return False
