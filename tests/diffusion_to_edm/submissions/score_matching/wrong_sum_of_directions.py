# Directions are summed.
# loses: test_ism_loss, test_ism_loss_gradient

# %% solution="ism_loss"
def ism_loss(score, x, directions=None):
    if directions is None:
        directions = torch.eye(x.shape[1], dtype=x.dtype)
    x = x.detach().clone().requires_grad_()
    value = score(x)
    trace = 0
    for v in directions:
        (slope,) = torch.autograd.grad((value @ v).sum(), x, create_graph=True)
        trace = trace + slope @ v
    return trace + value.square().sum(-1) / 2
