# Two strides that are equal, or one that is 0.
# loses: test_addresses_collide

# %% solution="addresses_collide"
def addresses_collide(shape, stride):
    taken = [step for size, step in zip(shape, stride) if size > 1]
    if 0 in shape:
        return False
    return 0 in taken or len(set(taken)) < len(taken)
