# Every sequence of the batch gets the scores of the first.
# loses: test_shift_with_memory, test_shift_with_memory_gradient

# %% solution="shift_with_memory"
def shift_with_memory(scores):
    n_queries = scores.shape[-2]
    n_keys = scores.shape[-1] - n_queries + 1
    i, j = torch.arange(n_queries)[:, None], torch.arange(n_keys)
    return scores[:1, :, i, j - i + n_queries - 1].expand(len(scores), -1, -1, -1)
