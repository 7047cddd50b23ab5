# Dynamic NTK with alpha = 2: the slowest pair is slowed too much.
# loses: test_base_for

# %% solution="base_for"
def base_for(n, length, d, base=10_000.0, fraction=1.0):
    r = round(fraction * d)
    stretch = max(2 * n / length - 1, 1.0)
    return float(base * stretch ** (r / (r - 2)))
