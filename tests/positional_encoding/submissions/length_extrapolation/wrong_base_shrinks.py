# No cut: short texts get a smaller base.
# loses: test_base_for

# %% solution="base_for"
def base_for(n, length, d, base=10_000.0, fraction=1.0):
    r = round(fraction * d)
    return float(base * (n / length) ** (r / (r - 2)))
