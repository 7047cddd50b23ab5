# Calls a rounding error a difference.
# loses: test_best_on_probe

# %% solution="best_on_probe"
def best_on_probe(attend, n, d):
    out = attend(torch.randn(1, d, dtype=torch.float64).repeat(n, 1))
    alike = (out[:, None] == out[None]).all(-1).sum(1).double()
    return float((1 / alike).mean()), float(alike.log().mean())
