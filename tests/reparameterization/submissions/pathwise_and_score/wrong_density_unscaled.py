# The density of a standard normal: 1/σ is missing.
# loses: test_jump_terms

# %% solution="jump_terms"
def jump_terms(places, heights, mu, sigma):
    u = (places - mu[:, None]) / sigma[:, None]
    density = (-u.square() / 2).exp() / (2 * torch.pi) ** 0.5
    return (heights * density).sum(-1), (heights * u * density).sum(-1)
