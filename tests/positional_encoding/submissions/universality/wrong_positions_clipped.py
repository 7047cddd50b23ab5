# Clips the places of keys and queries, not their distance.
# loses: test_spread_table, test_spread_table_gradient

# %% solution="spread_table"
def spread_table(c, n_queries, n_keys):
    w = c.shape[-1] // 2
    keys = torch.arange(n_keys).clamp(max=w)
    queries = torch.arange(n_keys - n_queries, n_keys).clamp(max=w)
    return c[:, keys - queries[:, None] + w]
