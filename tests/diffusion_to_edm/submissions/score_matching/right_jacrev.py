# Jacobians by torch.func, one a point.
# keeps: all

# %% solution="ism_loss"
def ism_loss(score, x, directions=None):
    J = torch.func.vmap(torch.func.jacrev(lambda row: score(row[None])[0]))(x)
    if directions is None:
        trace = J.diagonal(dim1=1, dim2=2).sum(-1)
    else:
        trace = ((J @ directions.T) * directions.T).sum(1).mean(-1)
    return trace + score(x).square().sum(-1) / 2
