# A view with strides, one element shorter than a row, and a copy.
# keeps: all

# %% solution="shift_with_memory"
def shift_with_memory(scores):
    scores = scores.contiguous()
    batch, heads, n_queries, span = scores.shape
    size = batch, heads, n_queries, span - n_queries + 1
    steps = heads * n_queries * span, n_queries * span, span - 1, 1
    return scores.as_strided(size, steps, n_queries - 1).clone()
