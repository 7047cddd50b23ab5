# Collected from the end and left in that order.
# loses: test_row_major_strides

# %% solution="row_major_strides"
def row_major_strides(shape):
    strides, step = [], 1
    for size in reversed(shape):
        strides.append(step)
        step *= size
    return tuple(strides)
