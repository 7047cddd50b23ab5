# PyTorch's rule: sliding windows are missed.
# loses: test_addresses_collide

# %% solution="addresses_collide"
def addresses_collide(shape, stride):
    return any(step == 0 and size > 1 for size, step in zip(shape, stride))
