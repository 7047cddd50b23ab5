# Makes the whole table of scores.
# loses: test_windowed_attention_memory

# %% solution="windowed_attention"
def windowed_attention(q, k, v, window, block_q, block_k):
    n_q, n_k = q.shape[-2], k.shape[-2]
    gap = torch.arange(n_k - n_q, n_k)[:, None] - torch.arange(n_k)
    scores = q @ k.mT / q.shape[-1] ** 0.5
    scores = scores.masked_fill((gap < 0) | (gap >= window), -torch.inf)
    return scores.softmax(-1).nan_to_num(0.0) @ v
