# Distances beyond the table get zero instead of the outermost number.
# loses: test_spread_table, test_spread_table_gradient

# %% solution="spread_table"
def spread_table(c, n_queries, n_keys):
    w = c.shape[-1] // 2
    keys = torch.arange(n_keys)
    queries = torch.arange(n_keys - n_queries, n_keys)
    distance = keys - queries[:, None]
    return c[:, distance.clamp(-w, w) + w] * (distance.abs() <= w).to(c.dtype)
