# All differences at once, and a straight-through function of its own.
# keeps: all

# %% solution="quantize_map"
class Through(torch.autograd.Function):
    @staticmethod
    def forward(ctx, z, nearest):
        return nearest.clone()

    @staticmethod
    def backward(ctx, upstream):
        return upstream, None


def quantize_map(z, E):
    difference = z.unsqueeze(1) - E[None, :, :, None, None]
    idx = difference.square().sum(2).argmin(1)
    nearest = torch.einsum("bkhw,kd->bdhw", F_one_hot(idx, len(E)).to(E), E)
    return idx, Through.apply(z, nearest)


def F_one_hot(idx, k):
    return torch.nn.functional.one_hot(idx, k).movedim(-1, 1)
