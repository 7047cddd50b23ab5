# One descent of the reverse divergence, from the moments: it may end in between.
# loses: test_one_gaussian_reverse

# %% solution="one_gaussian"
def one_gaussian(x, logp, direction):
    weight = logp.softmax(0)
    mu = (weight * x).sum()
    sigma = (weight * (x - mu) ** 2).sum().sqrt()
    if direction == "forward":
        return torch.stack([mu, sigma])
    place = torch.stack([mu, sigma.log()]).requires_grad_()
    optimiser = torch.optim.LBFGS([place], max_iter=100, line_search_fn="strong_wolfe")

    def price():
        optimiser.zero_grad()
        logq = (-0.5 * ((x - place[0]) / place[1].exp()) ** 2).log_softmax(-1)
        value = (logq.exp() * (logq - logp)).sum()
        value.backward()
        return value

    optimiser.step(price)
    return torch.stack([place[0], place[1].exp()]).detach()
