# As if the scale lost nothing at a jump.
# loses: test_jump_terms

# %% solution="jump_terms"
def jump_terms(places, heights, mu, sigma):
    u = (places - mu[:, None]) / sigma[:, None]
    density = (-u.square() / 2).exp() / (2 * torch.pi) ** 0.5 / sigma[:, None]
    return (heights * density).sum(-1), torch.zeros_like(mu)
