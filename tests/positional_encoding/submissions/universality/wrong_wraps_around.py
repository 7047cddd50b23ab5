# Forgets to clip; a distance beyond the table comes out at its other end.
# loses: test_spread_table, test_spread_table_gradient

# %% solution="spread_table"
def spread_table(c, n_queries, n_keys):
    w = c.shape[-1] // 2
    keys = torch.arange(n_keys)
    queries = torch.arange(n_keys - n_queries, n_keys)
    return c[:, (keys - queries[:, None] + w) % (2 * w + 1)]
