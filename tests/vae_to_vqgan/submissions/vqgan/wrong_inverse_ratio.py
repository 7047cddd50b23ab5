# The ratio upside down: the strong become stronger.
# loses: test_balance

# %% solution="balance"
def balance(losses, decoder, delta=1e-6, most=1e4):
    pulls = [
        torch.autograd.grad(loss, decoder[-1].weight, retain_graph=True)[0].norm()
        for loss in losses
    ]
    weights = [(pull / (pulls[0] + delta)).clamp(max=most) for pull in pulls[1:]]
    return torch.stack([torch.ones_like(pulls[0]), *weights]).detach()
