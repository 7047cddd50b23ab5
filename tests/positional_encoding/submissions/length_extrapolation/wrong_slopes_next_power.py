# The list of the next power of two, cut off.
# loses: test_head_slopes

# %% solution="head_slopes"
def head_slopes(n_heads):
    power = 1
    while power < n_heads:
        power *= 2
    h = torch.arange(1, power + 1, dtype=torch.float64)
    return (2.0 ** (-8 * h / power))[:n_heads]
