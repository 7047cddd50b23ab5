# A fall counted as a rise.
# loses: test_jump_terms

# %% solution="jump_terms"
def jump_terms(places, heights, mu, sigma):
    u = (places - mu[:, None]) / sigma[:, None]
    density = (-u.square() / 2).exp() / (2 * torch.pi) ** 0.5 / sigma[:, None]
    h = heights.abs()
    return (h * density).sum(-1), (h * u * density).sum(-1)
