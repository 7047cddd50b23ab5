# Compares the first channel only, and calls the spread of it the verdict.
# loses: test_best_on_probe

# %% solution="best_on_probe"
def best_on_probe(attend, n, d):
    out = attend(torch.randn(1, d, dtype=torch.float64).repeat(n, 1))[:, 0]
    spread = float(out.max() - out.min())
    if spread <= 1e-9 * float(out.abs().max()):
        return 1 / n, math.log(n)
    return 1.0, 0.0
