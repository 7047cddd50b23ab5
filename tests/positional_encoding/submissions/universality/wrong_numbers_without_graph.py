# Right numbers, copied out one by one: no gradient reaches the table.
# loses: test_spread_table_gradient

# %% solution="spread_table"
def spread_table(c, n_queries, n_keys):
    w = c.shape[-1] // 2
    rows = []
    for i in range(n_keys - n_queries, n_keys):
        columns = [max(-w, min(w, j - i)) + w for j in range(n_keys)]
        rows.append([[head[t].item() for t in columns] for head in c])
    return torch.tensor(rows, dtype=c.dtype).transpose(0, 1)
