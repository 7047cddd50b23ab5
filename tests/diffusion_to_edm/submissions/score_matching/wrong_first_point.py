# The Jacobian of the first point for all.
# loses: test_ism_loss

# %% solution="ism_loss"
def ism_loss(score, x, directions=None):
    if directions is None:
        directions = x.shape[1] ** 0.5 * torch.eye(x.shape[1], dtype=x.dtype)
    first = x[:1].detach()
    J = torch.func.jacrev(lambda row: score(row[None])[0])(first[0])
    trace = torch.einsum("ki,ij,kj->", directions, J, directions) / len(directions)
    return trace + score(x).square().sum(-1) / 2
