# Descents from every local maximum, with two widths, and from the moments; the last of
# equally low ones.
# keeps: all

# %% solution="one_gaussian"
def one_gaussian(x, logp, direction):
    weight = logp.softmax(0)
    mu = (weight * x).sum()
    sigma = (weight * (x - mu) ** 2).sum().sqrt()
    if direction == "forward":
        return torch.stack([mu, sigma])
    tops = (logp[1:-1] > logp[:-2]) & (logp[1:-1] >= logp[2:])
    found = []
    starts = [(t, width) for t in x[1:-1][tops] for width in (0.6, 1.0)]
    for start, width in [*starts, (mu, float(sigma))]:
        place = torch.tensor([float(start), math.log(width)]).double().requires_grad_()
        optimiser = torch.optim.LBFGS(
            [place], max_iter=100, line_search_fn="strong_wolfe"
        )

        def price(place=place, optimiser=optimiser):
            optimiser.zero_grad()
            logq = (-0.5 * ((x - place[0]) / place[1].exp()) ** 2).log_softmax(-1)
            value = (logq.exp() * (logq - logp)).sum()
            value.backward()
            return value

        optimiser.step(price)
        value = float(price().detach())
        if math.isfinite(value):  # a step may have been too long
            found.append((value, place.detach()))
    lowest = min(value for value, _ in found)
    best = [place for value, place in found if value < lowest + 1e-6][-1]
    return torch.stack([best[0], best[1].exp()])
