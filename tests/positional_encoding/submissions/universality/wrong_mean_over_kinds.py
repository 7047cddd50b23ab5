# Averages the loss over kinds of places instead of places.
# loses: test_best_on_probe

# %% solution="best_on_probe"
def best_on_probe(attend, n, d):
    out = attend(torch.randn(1, d, dtype=torch.float64).repeat(n, 1))
    apart = (out[:, None] - out[None]).abs().amax(-1)
    alike = (apart <= 1e-9 * out.abs().max()).sum(1).double()
    kinds = (1 / alike).sum()
    return float(kinds / n), float((alike.log() / alike).sum() / kinds)
