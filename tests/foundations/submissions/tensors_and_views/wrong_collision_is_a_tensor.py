# A tensor with one bool, not a bool.
# loses: test_addresses_collide

# %% solution="addresses_collide"
def addresses_collide(shape, stride):
    where = torch.zeros(shape, dtype=torch.long)
    for k, (n, s) in enumerate(zip(shape, stride)):
        where += (s * torch.arange(n)).reshape(-1, *[1] * (len(shape) - k - 1))
    return torch.tensor(where.unique().numel() < where.numel())
