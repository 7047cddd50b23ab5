# Slopes at the samples, and their outer products with the noise.
# keeps: all

# %% solution="reparam_grad_normal"
def reparam_grad_normal(f, mu, L, n, generator):
    noise = torch.randn(n, len(mu), generator=generator, dtype=mu.dtype)
    z = (mu + torch.einsum("ij,nj->ni", L, noise)).detach().requires_grad_()
    f(z).sum().backward()
    return z.grad.mean(0), torch.tril(z.grad.T @ noise / n)
