# All coordinates at once, d times over: after i rounds the first i are right.
# keeps: all

# %% solution="flow_in_order"
def flow_in_order(z, M, A):
    A, M = A.tril(-1), M.tril(-1)
    x = torch.zeros_like(z)
    for _ in range(z.shape[1]):
        x = z * torch.exp(x @ A.T) + x @ M.T
    normal = torch.distributions.Normal(torch.zeros_like(z[0]), 1.0)
    return x, (normal.log_prob(z) - x @ A.T).sum(-1)
