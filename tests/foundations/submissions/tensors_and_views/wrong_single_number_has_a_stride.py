# Starts with the last stride, which a shape without dimensions does not have.
# loses: test_row_major_strides

# %% solution="row_major_strides"
def row_major_strides(shape):
    strides = [1]
    for size in reversed(shape[1:]):
        strides.insert(0, strides[0] * size)
    return tuple(strides)
