# Forgets to return.
# loses: test_to_unit_range

# %% solution="to_unit_range"
def to_unit_range(x):
    low = x.amin(-1, keepdim=True)
    (x - low) / (x.amax(-1, keepdim=True) - low)
