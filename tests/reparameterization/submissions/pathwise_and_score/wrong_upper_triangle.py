# A gradient for the zeros above the diagonal.
# loses: test_reparam_grad_normal

# %% solution="reparam_grad_normal"
def reparam_grad_normal(f, mu, L, n, generator):
    mu, L = mu.detach().clone().requires_grad_(), L.detach().clone().requires_grad_()
    noise = torch.randn(n, len(mu), generator=generator, dtype=mu.dtype)
    return torch.autograd.grad(f(mu + noise @ L.T).mean(), (mu, L))
