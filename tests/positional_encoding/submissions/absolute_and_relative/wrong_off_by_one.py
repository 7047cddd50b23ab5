# One column too far to the right, clipped where there is none.
# loses: test_shift_with_memory, test_shift_with_memory_gradient

# %% solution="shift_with_memory"
def shift_with_memory(scores):
    n_queries = scores.shape[-2]
    n_keys = scores.shape[-1] - n_queries + 1
    i, j = torch.arange(n_queries)[:, None], torch.arange(n_keys)
    column = ((j - i + n_queries).clamp(max=scores.shape[-1] - 1)).expand(
        *scores.shape[:-1], n_keys
    )
    return scores.gather(-1, column)
