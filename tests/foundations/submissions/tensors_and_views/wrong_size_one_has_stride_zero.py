# Strides as for broadcasting, 0 where the size is 1.
# loses: test_row_major_strides

# %% solution="row_major_strides"
import math


def row_major_strides(shape):
    return tuple(
        0 if size == 1 else math.prod(shape[k + 1 :]) for k, size in enumerate(shape)
    )
