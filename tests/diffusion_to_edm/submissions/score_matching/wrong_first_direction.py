# Only the first direction.
# loses: test_ism_loss, test_ism_loss_gradient

# %% solution="ism_loss"
def ism_loss(score, x, directions=None):
    x = x.detach().clone().requires_grad_()
    value = score(x)
    trace, d = 0, x.shape[1]
    if directions is None:
        for i in range(d):
            (slope,) = torch.autograd.grad(value[:, i].sum(), x, create_graph=True)
            trace = trace + slope[:, i]
    else:
        for v in directions[:1]:
            (slope,) = torch.autograd.grad((value @ v).sum(), x, create_graph=True)
            trace = trace + slope @ v
    return trace + value.square().sum(-1) / 2
