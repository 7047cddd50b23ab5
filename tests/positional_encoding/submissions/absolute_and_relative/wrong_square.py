# The square case, whatever the number of keys.
# loses: test_shift_with_memory, test_shift_with_memory_gradient

# %% solution="shift_with_memory"
def shift_with_memory(scores):
    n = scores.shape[-2]
    flat = torch.nn.functional.pad(scores, (0, 1)).flatten(-2)[..., n - 1 :]
    return flat[..., : n * (2 * n - 1)].unflatten(-1, (n, 2 * n - 1))[..., :n]
