# NumPy's strides of float64: bytes, not elements.
# loses: test_row_major_strides

# %% solution="row_major_strides"
import numpy as np


def row_major_strides(shape):
    return np.zeros(shape).strides
