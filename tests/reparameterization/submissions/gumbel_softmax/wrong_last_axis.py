# The last axis, whatever was asked for.
# loses: test_relaxed_sample, test_relaxed_sample_gradient

# %% solution="relaxed_sample"
def relaxed_sample(logits, u, tau, hard=False, dim=-1):
    g = -(-u.clamp_min(torch.finfo(u.dtype).tiny).log()).log()
    soft = ((logits + g) / tau).softmax(-1)
    if not hard:
        return soft
    best = soft.argmax(-1, keepdim=True)
    onehot = torch.zeros_like(soft).scatter(-1, best, 1.0)
    return onehot + (soft - soft.detach())
