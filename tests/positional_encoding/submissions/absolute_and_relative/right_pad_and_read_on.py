# One padded column and two reshapes, as in the paper.
# keeps: all

# %% solution="shift_with_memory"
def shift_with_memory(scores):
    n_queries, span = scores.shape[-2:]
    n_keys = span - n_queries + 1
    flat = torch.nn.functional.pad(scores, (0, 1)).flatten(-2)
    flat = flat[..., n_queries - 1 : n_queries - 1 + n_queries * span]
    return flat.unflatten(-1, (n_queries, span))[..., :n_keys]
