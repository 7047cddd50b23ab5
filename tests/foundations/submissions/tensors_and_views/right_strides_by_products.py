# Each stride as a product of its own.
# keeps: all

# %% solution="row_major_strides"
import math


def row_major_strides(shape):
    return tuple(math.prod(shape[k + 1 :]) for k in range(len(shape)))
