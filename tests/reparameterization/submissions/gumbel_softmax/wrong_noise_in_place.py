# Right values, computed in the memory of u.
# loses: test_relaxed_sample

# %% solution="relaxed_sample"
def relaxed_sample(logits, u, tau, hard=False, dim=-1):
    g = u.clamp_min_(torch.finfo(u.dtype).tiny).log_().neg_().log_().neg_()
    soft = ((logits + g) / tau).softmax(dim)
    if not hard:
        return soft
    best = soft.argmax(dim, keepdim=True)
    onehot = torch.zeros_like(soft).scatter(dim, best, 1.0)
    return onehot + (soft - soft.detach())
