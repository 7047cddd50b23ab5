# d / (d - 1): the slowest pair is not the last of d.
# loses: test_base_for

# %% solution="base_for"
def base_for(n, length, d, base=10_000.0, fraction=1.0):
    r = round(fraction * d)
    return float(base * max(n / length, 1.0) ** (r / (r - 1)))
