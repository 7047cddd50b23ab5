# One range for the whole tensor: half right.
# loses: test_to_unit_range

# %% solution="to_unit_range"
def to_unit_range(x):
    return (x - x.min()) / (x.max() - x.min())
