# u turned round: right for mu, and a wrong sign for sigma.
# loses: test_jump_terms

# %% solution="jump_terms"
def jump_terms(places, heights, mu, sigma):
    u = (mu[:, None] - places) / sigma[:, None]
    density = (-u.square() / 2).exp() / (2 * torch.pi) ** 0.5 / sigma[:, None]
    return (heights * density).sum(-1), (heights * u * density).sum(-1)
