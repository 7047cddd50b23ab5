# Scores of keys after the query set to zero: nobody asked for a mask.
# loses: test_shift_with_memory, test_shift_with_memory_gradient

# %% solution="shift_with_memory"
def shift_with_memory(scores):
    n_queries = scores.shape[-2]
    n_keys = scores.shape[-1] - n_queries + 1
    i, j = torch.arange(n_queries)[:, None], torch.arange(n_keys)
    out = scores[..., i, j - i + n_queries - 1]
    return out.tril(n_keys - n_queries)
