# Right numbers, copied into a new tensor: no gradient.
# loses: test_shift_with_memory_gradient

# %% solution="shift_with_memory"
def shift_with_memory(scores):
    n_queries = scores.shape[-2]
    n_keys = scores.shape[-1] - n_queries + 1
    rows = scores.detach().unbind(-2)
    start = n_queries - 1
    windows = [row[..., start - i : start - i + n_keys] for i, row in enumerate(rows)]
    return torch.stack(windows, -2).requires_grad_()
