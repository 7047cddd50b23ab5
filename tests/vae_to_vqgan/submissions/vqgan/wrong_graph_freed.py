# The graph is freed: nothing can be trained after the weights are known.
# loses: test_balance

# %% solution="balance"
def balance(losses, decoder, delta=1e-6, most=1e4):
    pulls = []
    for i, loss in enumerate(losses):
        keep = i < len(losses) - 1
        grad = torch.autograd.grad(loss, decoder[-1].weight, retain_graph=keep)[0]
        pulls.append(grad.norm())
    weights = [(pulls[0] / (pull + delta)).clamp(max=most) for pull in pulls[1:]]
    return torch.stack([torch.ones_like(pulls[0]), *weights]).detach()
