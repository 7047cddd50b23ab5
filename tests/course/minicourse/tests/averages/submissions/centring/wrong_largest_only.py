# Divides by the largest entry and leaves the smallest where it is.
# loses: test_to_unit_range

# %% solution="to_unit_range"
def to_unit_range(x):
    return x / x.amax(-1, keepdim=True)
