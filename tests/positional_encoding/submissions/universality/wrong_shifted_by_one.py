# Counts the middle of the table from one.
# loses: test_spread_table, test_spread_table_gradient

# %% solution="spread_table"
def spread_table(c, n_queries, n_keys):
    w = c.shape[-1] // 2
    keys = torch.arange(n_keys)
    queries = torch.arange(n_keys - n_queries, n_keys)
    index = (keys - queries[:, None]).clamp(-w, w) + w + 1
    return c[:, index.clamp(max=2 * w)]
