# A dimension steps over itself as well.
# loses: test_row_major_strides

# %% solution="row_major_strides"
def row_major_strides(shape):
    strides, step = [], 1
    for size in reversed(shape):
        step *= size
        strides.append(step)
    return tuple(reversed(strides))
