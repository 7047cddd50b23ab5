# Uniform noise of the right variance: right for quadratics only.
# loses: test_reparam_grad_normal

# %% solution="reparam_grad_normal"
def reparam_grad_normal(f, mu, L, n, generator):
    mu, L = mu.detach().clone().requires_grad_(), L.detach().clone().requires_grad_()
    noise = torch.rand(n, len(mu), generator=generator, dtype=mu.dtype)
    noise = (noise - 0.5) * 12**0.5
    by_mu, by_L = torch.autograd.grad(f(mu + noise @ L.T).mean(), (mu, L))
    return by_mu, by_L.tril()
