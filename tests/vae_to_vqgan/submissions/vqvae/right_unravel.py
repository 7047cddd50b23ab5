# Lets numpy take the number apart, in Fortran order.
# keeps: all

# %% solution="fsq_codes"
def fsq_codes(idx, levels):
    import numpy as np

    digits = np.unravel_index(idx.numpy(), tuple(levels), order="F")
    values = [
        (np.asarray(digit) - n // 2) / (n // 2) for digit, n in zip(digits, levels)
    ]
    return torch.from_numpy(np.stack(values, -1).astype(np.float64))
