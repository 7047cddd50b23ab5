# Right weights by backward(): every gradient stays behind for the optimiser.
# loses: test_balance

# %% solution="balance"
def balance(losses, decoder, delta=1e-6, most=1e4):
    pulls = []
    for loss in losses:
        decoder[-1].weight.grad = None
        loss.backward(retain_graph=True)
        pulls.append(decoder[-1].weight.grad.norm())
    weights = [(pulls[0] / (pull + delta)).clamp(max=most) for pull in pulls[1:]]
    return torch.stack([torch.ones_like(pulls[0]), *weights]).detach()
