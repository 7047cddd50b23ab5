# A one-hot tensor and einsum.
# keeps: all

# %% solution="shift_with_memory"
def shift_with_memory(scores):
    n_queries, span = scores.shape[-2:]
    n_keys = span - n_queries + 1
    i, j = torch.arange(n_queries)[:, None], torch.arange(n_keys)
    column = j - i + n_queries - 1
    pick = torch.nn.functional.one_hot(column, span).to(scores.dtype)
    return torch.einsum("bhis,ijs->bhij", scores, pick)
