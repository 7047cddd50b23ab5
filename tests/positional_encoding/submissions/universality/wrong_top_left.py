# The queries stand at the first places instead of the last.
# loses: test_spread_table, test_spread_table_gradient

# %% solution="spread_table"
def spread_table(c, n_queries, n_keys):
    w = c.shape[-1] // 2
    keys, queries = torch.arange(n_keys), torch.arange(n_queries)
    return c[:, (keys - queries[:, None]).clamp(-w, w) + w]
