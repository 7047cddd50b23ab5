# The same window for every row.
# loses: test_shift_with_memory, test_shift_with_memory_gradient

# %% solution="shift_with_memory"
def shift_with_memory(scores):
    n_queries = scores.shape[-2]
    return scores[..., n_queries - 1 :].clone()
