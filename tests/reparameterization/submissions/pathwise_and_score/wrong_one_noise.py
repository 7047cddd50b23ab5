# One number for all coordinates of a sample.
# loses: test_reparam_grad_normal

# %% solution="reparam_grad_normal"
def reparam_grad_normal(f, mu, L, n, generator):
    mu, L = mu.detach().clone().requires_grad_(), L.detach().clone().requires_grad_()
    noise = torch.randn(n, 1, generator=generator, dtype=mu.dtype).expand(n, len(mu))
    by_mu, by_L = torch.autograd.grad(f(mu + noise @ L.T).mean(), (mu, L))
    return by_mu, by_L.tril()
