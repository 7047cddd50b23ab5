# Computes in double precision and stays there.
# loses: test_ism_loss

# %% solution="ism_loss"
def ism_loss(score, x, directions=None):
    if directions is None:
        directions = x.shape[1] ** 0.5 * torch.eye(x.shape[1], dtype=torch.float64)
    directions = directions.double()
    x = x.detach().double().requires_grad_()
    value = score(x)
    trace = 0
    for v in directions:
        (slope,) = torch.autograd.grad((value @ v).sum(), x, create_graph=True)
        trace = trace + slope @ v / len(directions)
    return trace + value.square().sum(-1) / 2
