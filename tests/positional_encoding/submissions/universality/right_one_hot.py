# A one-hot table of distances, and a product with it.
# keeps: all

# %% solution="spread_table"
def spread_table(c, n_queries, n_keys):
    w = c.shape[-1] // 2
    one_hot = torch.zeros(2 * w + 1, n_queries, n_keys, dtype=c.dtype)
    for i in range(n_queries):
        for j in range(n_keys):
            distance = j - (n_keys - n_queries + i)
            one_hot[w + min(w, max(-w, distance)), i, j] = 1
    return torch.einsum("ht,tij->hij", c, one_hot)
