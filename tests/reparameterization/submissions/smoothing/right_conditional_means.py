# Three cases: below, above and between, each with its chance and mean.
# keeps: all

# %% solution="mollified_clip"
def mollified_clip(x, low, high, sigma):
    bell = torch.distributions.Normal(0.0, 1.0)
    a, b = (low - x) / sigma, (high - x) / sigma
    below, above = bell.cdf(a), bell.cdf(-b)
    between = x * (bell.cdf(b) - bell.cdf(a))
    bend = sigma * (bell.log_prob(a).exp() - bell.log_prob(b).exp())
    return low * below + high * above + between + bend
