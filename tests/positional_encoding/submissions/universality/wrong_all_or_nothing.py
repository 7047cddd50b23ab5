# Either all places can be named or none: what lies between is missed.
# loses: test_best_on_probe

# %% solution="best_on_probe"
def best_on_probe(attend, n, d):
    out = attend(torch.randn(1, d, dtype=torch.float64).repeat(n, 1))
    apart = (out[:, None] - out[None]).abs().amax(-1)
    alike = (apart <= 1e-9 * out.abs().max()).sum()
    return (1.0, 0.0) if alike == n else (1 / n, math.log(n))
