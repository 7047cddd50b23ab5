# Lε is detached, so that L receives no gradient.
# loses: test_reparam_grad_normal

# %% solution="reparam_grad_normal"
def reparam_grad_normal(f, mu, L, n, generator):
    mu, L = mu.detach().clone().requires_grad_(), L.detach().clone().requires_grad_()
    noise = torch.randn(n, len(mu), generator=generator, dtype=mu.dtype)
    z = mu + (noise @ L.T).detach()
    (by_mu,) = torch.autograd.grad(f(z).mean(), mu)
    return by_mu, torch.zeros_like(L)
