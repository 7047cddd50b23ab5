# Measures from the largest entry, so 0 and 1 change places.
# loses: test_to_unit_range

# %% solution="to_unit_range"
def to_unit_range(x):
    high = x.amax(-1, keepdim=True)
    return (high - x) / (high - x.amin(-1, keepdim=True))
