# Probes with tokens that differ: then any layer tells them apart.
# loses: test_best_on_probe

# %% solution="best_on_probe"
def best_on_probe(attend, n, d):
    out = attend(torch.randn(n, d, dtype=torch.float64))
    apart = (out[:, None] - out[None]).abs().amax(-1)
    alike = (apart <= 1e-9 * out.abs().max()).sum(1).double()
    return float((1 / alike).mean()), float(alike.log().mean())
