# exp minus one as it stands.
# loses: test_draws_needed

# %% solution="draws_needed"
def draws_needed(kind, q, k, error):
    z = q - k if kind == "trigonometric" else q + k
    s = (z * z).sum(-1)
    single = s.exp() - 1 if kind == "positive" else 2 * torch.sinh(s / 2).square()
    return torch.ceil(single / error**2).clamp(min=1).long()
