# The gradient of a sum of steps, from the distribution function.
# keeps: all

# %% solution="jump_terms"
def jump_terms(places, heights, mu, sigma):
    leaves = (
        mu.detach().clone().requires_grad_(),
        sigma.detach().clone().requires_grad_(),
    )
    bells = torch.distributions.Normal(leaves[0][:, None], leaves[1][:, None])
    above = 1 - bells.cdf(places)
    return torch.autograd.grad((heights * above).sum(), leaves)
