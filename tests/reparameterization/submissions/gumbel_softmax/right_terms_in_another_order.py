# hard + soft - sg(soft) from left to right: one-hot up to a rounding.
# keeps: all

# %% solution="relaxed_sample"
def relaxed_sample(logits, u, tau, hard=False, dim=-1):
    g = -torch.log(-torch.log(u + 1e-37) + 1e-20)
    soft = ((logits + g) / tau).softmax(dim)
    if not hard:
        return soft
    best = soft.argmax(dim, keepdim=True)
    onehot = torch.zeros_like(soft).scatter(dim, best, 1.0)
    return onehot + soft - soft.detach()
