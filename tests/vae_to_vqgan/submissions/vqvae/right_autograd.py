# Writes the loss with detach and lets autograd differentiate.
# keeps: all

# %% solution="vq_gradients"
def vq_gradients(z, E, idx, beta, reduction="elements"):
    z, E = z.detach().clone().requires_grad_(), E.detach().clone().requires_grad_()
    chosen = E[idx]
    codebook = (z.detach() - chosen).square().sum(-1)
    commitment = (z - chosen.detach()).square().sum(-1)
    loss = (codebook + beta * commitment).mean()
    if reduction == "elements":
        loss = loss / z.shape[-1]
    return torch.autograd.grad(loss, (z, E))
