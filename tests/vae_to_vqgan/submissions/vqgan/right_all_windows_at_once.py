# One call for the first window, one for all later windows together.
# keeps: all

# %% solution="sliding_log_likelihood"
def sliding_log_likelihood(prior, idx, start, window):
    batch, length = idx.shape
    tokens = torch.cat([torch.full((batch, 1), start), idx], 1)
    first = min(window, length)
    logits = prior(tokens[:, :first])
    if length > first:
        views = tokens[:, 1:-1].unfold(1, window, 1)
        later = prior(views.reshape(-1, window))[:, -1]
        logits = torch.cat([logits, later.reshape(batch, length - first, -1)], 1)
    chosen = torch.take_along_dim(logits, idx[..., None], 2)[..., 0]
    return (chosen - logits.logsumexp(2)).sum(1)
