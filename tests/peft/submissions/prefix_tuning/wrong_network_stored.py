# The network is stored with the prefix.
# loses: test_prefix_param_count

# %% solution="prefix_param_count"
def prefix_param_count(n_layers, n_tokens, width, kv_width, mid=None):
    row = 2 * n_layers * kv_width
    stored = n_tokens * row
    if mid is None:
        return stored, stored
    trained = n_tokens * width + (width + 1) * mid + (mid + 1) * row
    return trained, trained
