# Biases of the network are forgotten.
# loses: test_prefix_param_count

# %% solution="prefix_param_count"
def prefix_param_count(n_layers, n_tokens, width, kv_width, mid=None):
    row = 2 * n_layers * kv_width
    stored = n_tokens * row
    if mid is None:
        return stored, stored
    return n_tokens * width + width * mid + mid * row, stored
