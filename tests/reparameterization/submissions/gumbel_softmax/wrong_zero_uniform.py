# No care for u = 0: NaN where all noise of a row is -inf.
# loses: test_relaxed_sample, test_relaxed_sample_gradient

# %% solution="relaxed_sample"
def relaxed_sample(logits, u, tau, hard=False, dim=-1):
    g = -(-u.log()).log()
    soft = ((logits + g) / tau).softmax(dim)
    if not hard:
        return soft
    best = soft.argmax(dim, keepdim=True)
    onehot = torch.zeros_like(soft).scatter(dim, best, 1.0)
    return onehot + (soft - soft.detach())
