# A combination of the strides that is 0, with steps from -(n - 1) to n - 1.
# keeps: all

# %% solution="addresses_collide"
def addresses_collide(shape, stride):
    if 0 in shape:
        return False
    steps = itertools.product(*(range(1 - n, n) for n in shape))
    return any(
        any(step) and sum(i * s for i, s in zip(step, stride)) == 0 for step in steps
    )
