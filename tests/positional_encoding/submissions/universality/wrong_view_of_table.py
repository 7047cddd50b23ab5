# Right numbers, as a view: writing into the matrix writes into the table.
# loses: test_spread_table

# %% solution="spread_table"
def spread_table(c, n_queries, n_keys):
    w = c.shape[-1] // 2
    if n_queries == n_keys == 1:
        return c[:, w : w + 1, None]
    if n_queries == 1 and n_keys <= w + 1:
        return c[:, None, w - n_keys + 1 : w + 1]
    keys = torch.arange(n_keys)
    queries = torch.arange(n_keys - n_queries, n_keys)
    return c[:, (keys - queries[:, None]).clamp(-w, w) + w]
