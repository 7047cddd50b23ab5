# The width of the head, although only a part of it turns.
# loses: test_base_for

# %% solution="base_for"
def base_for(n, length, d, base=10_000.0, fraction=1.0):
    return float(base * max(n / length, 1.0) ** (d / (d - 2)))
