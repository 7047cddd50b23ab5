# Turns one copy of the query for each key and leaves the keys alone.
# keeps: all

# %% solution="cached_scores"
def cached_scores(q, k, inv_freq, window, leak=math.inf):
    n = k.shape[2]
    t = torch.arange(n, dtype=torch.float64).flip(0)
    distance = t.clamp(max=window) + (t - window).clamp(min=0) / leak
    phase = torch.polar(
        torch.ones(n, len(inv_freq)).double(), distance[:, None] * inv_freq
    )
    query = torch.view_as_complex(q.double().unflatten(-1, (-1, 2)).contiguous())
    query = torch.view_as_real(query[:, :, None] * phase).flatten(-2)
    return (query * k).sum(-1).to(q.dtype)
