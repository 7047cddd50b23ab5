# The error instead of its square.
# loses: test_draws_needed

# %% solution="draws_needed"
def draws_needed(kind, q, k, error):
    z = q - k if kind == "trigonometric" else q + k
    s = (z * z).sum(-1)
    single = torch.expm1(s) if kind == "positive" else 2 * torch.sinh(s / 2).square()
    return torch.ceil(single / error).clamp(min=1).long()
