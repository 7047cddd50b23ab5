# Every noise is used twice, with both signs.
# keeps: all

# %% solution="reparam_grad_normal"
def reparam_grad_normal(f, mu, L, n, generator):
    mu, L = mu.detach().clone().requires_grad_(), L.detach().clone().requires_grad_()
    half = torch.randn((n + 1) // 2, len(mu), generator=generator, dtype=mu.dtype)
    noise = torch.cat((half, -half))[:n]
    by_mu, by_L = torch.autograd.grad(f(mu + noise @ L.T).mean(), (mu, L))
    return by_mu, by_L.tril()
