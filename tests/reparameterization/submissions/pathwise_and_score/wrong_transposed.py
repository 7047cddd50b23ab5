# ε L instead of L ε: the covariance is LᵀL.
# loses: test_reparam_grad_normal

# %% solution="reparam_grad_normal"
def reparam_grad_normal(f, mu, L, n, generator):
    mu, L = mu.detach().clone().requires_grad_(), L.detach().clone().requires_grad_()
    noise = torch.randn(n, len(mu), generator=generator, dtype=mu.dtype)
    by_mu, by_L = torch.autograd.grad(f(mu + noise @ L).mean(), (mu, L))
    return by_mu, by_L.tril()
