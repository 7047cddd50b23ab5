# The largest singular value instead of the Frobenius norm: equal for rank one.
# loses: test_balance

# %% solution="balance"
def balance(losses, decoder, delta=1e-6, most=1e4):
    pulls = []
    for loss in losses:
        grad = torch.autograd.grad(loss, decoder[-1].weight, retain_graph=True)[0]
        pulls.append(torch.linalg.matrix_norm(grad, 2))
    weights = [(pulls[0] / (pull + delta)).clamp(max=most) for pull in pulls[1:]]
    return torch.stack([torch.ones_like(pulls[0]), *weights]).detach()
