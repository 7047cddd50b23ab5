# Reverse by Laplace: the highest point and its curvature. Near, but not the optimum.
# loses: test_one_gaussian_reverse

# %% solution="one_gaussian"
def one_gaussian(x, logp, direction):
    weight = logp.softmax(0)
    mu = (weight * x).sum()
    sigma = (weight * (x - mu) ** 2).sum().sqrt()
    if direction == "reverse":
        i = int(logp.argmax())
        step = x[1] - x[0]
        bend = (logp[i - 1] - 2 * logp[i] + logp[i + 1]) / step**2
        mu, sigma = x[i], (-bend) ** -0.5
    return torch.stack([mu, sigma])
