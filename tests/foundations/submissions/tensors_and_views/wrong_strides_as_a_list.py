# A list where a tuple is asked for.
# loses: test_row_major_strides

# %% solution="row_major_strides"
def row_major_strides(shape):
    strides, step = [], 1
    for size in reversed(shape):
        strides.insert(0, step)
        step *= size
    return strides
