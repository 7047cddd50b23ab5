# Adds 1e-10 to u: in float64 the largest u then exceeds 1, and the noise is NaN.
# loses: test_relaxed_sample

# %% solution="relaxed_sample"
def relaxed_sample(logits, u, tau, hard=False, dim=-1):
    g = -(-(u + 1e-10).log()).log()
    soft = ((logits + g) / tau).softmax(dim)
    if not hard:
        return soft
    best = soft.argmax(dim, keepdim=True)
    onehot = torch.zeros_like(soft).scatter(dim, best, 1.0)
    return onehot + (soft - soft.detach())
