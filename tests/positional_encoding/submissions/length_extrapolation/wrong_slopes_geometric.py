# One geometric sequence for any number of heads.
# loses: test_head_slopes

# %% solution="head_slopes"
def head_slopes(n_heads):
    h = torch.arange(1, n_heads + 1, dtype=torch.float64)
    return 2.0 ** (-8 * h / n_heads)
