# Hard and soft exchanged: the one-hot vector cancels, and the value is soft.
# loses: test_relaxed_sample

# %% solution="relaxed_sample"
def relaxed_sample(logits, u, tau, hard=False, dim=-1):
    g = -(-u.clamp_min(torch.finfo(u.dtype).tiny).log()).log()
    soft = ((logits + g) / tau).softmax(dim)
    if not hard:
        return soft
    best = soft.argmax(dim, keepdim=True)
    onehot = torch.zeros_like(soft).scatter(dim, best, 1.0)
    return soft + (onehot - onehot.detach())
