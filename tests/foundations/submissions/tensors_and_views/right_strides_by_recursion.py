# The first stride from the rest.
# keeps: all

# %% solution="row_major_strides"
def row_major_strides(shape):
    if not shape:
        return ()
    rest = row_major_strides(shape[1:])
    return (rest[0] * shape[1] if rest else 1, *rest)
