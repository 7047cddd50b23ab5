# The first index moves fastest, as in Fortran.
# loses: test_row_major_strides

# %% solution="row_major_strides"
def row_major_strides(shape):
    strides, step = [], 1
    for size in shape:
        strides.append(step)
        step *= size
    return tuple(strides)
