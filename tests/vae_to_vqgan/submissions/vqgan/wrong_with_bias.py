# The last layer's bias counted as well.
# loses: test_balance

# %% solution="balance"
def balance(losses, decoder, delta=1e-6, most=1e4):
    pulls = []
    for loss in losses:
        grads = torch.autograd.grad(
            loss, list(decoder[-1].parameters()), retain_graph=True
        )
        pulls.append(torch.cat([g.flatten() for g in grads]).norm())
    weights = [(pulls[0] / (pull + delta)).clamp(max=most) for pull in pulls[1:]]
    return torch.stack([torch.ones_like(pulls[0]), *weights]).detach()
