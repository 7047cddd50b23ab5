# The sum of all entries of the Jacobian, by grad(s.sum()).
# loses: test_ism_loss

# %% solution="ism_loss"
def ism_loss(score, x, directions=None):
    x = x.detach().clone().requires_grad_()
    value = score(x)
    if directions is None:
        (slope,) = torch.autograd.grad(value.sum(), x, create_graph=True)
        return slope.sum(-1) + value.square().sum(-1) / 2
    trace = 0
    for v in directions:
        (slope,) = torch.autograd.grad((value @ v).sum(), x, create_graph=True)
        trace = trace + slope @ v / len(directions)
    return trace + value.square().sum(-1) / 2
