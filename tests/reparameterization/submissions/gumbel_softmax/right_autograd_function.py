# Straight-through as an autograd function of its own, noise in float64.
# keeps: all

# %% solution="relaxed_sample"
def relaxed_sample(logits, u, tau, hard=False, dim=-1):
    safe = u.double().clamp_min(1e-300)
    soft = ((logits.double() - torch.log(-torch.log(safe))) / tau).softmax(dim)
    soft = soft.to(logits.dtype)
    if not hard:
        return soft

    class Straight(torch.autograd.Function):
        @staticmethod
        def forward(ctx, soft):
            best = soft.max(dim, keepdim=True).indices
            return torch.zeros_like(soft).scatter_(dim, best, 1)

        @staticmethod
        def backward(ctx, upstream):
            return upstream

    return Straight.apply(soft)
