# The base times the stretch: the slowest pair is slowed too little.
# loses: test_base_for

# %% solution="base_for"
def base_for(n, length, d, base=10_000.0, fraction=1.0):
    return float(base * max(n / length, 1.0))
