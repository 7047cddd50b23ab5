# A tolerance of one in a hundred: neighbours far from the start look alike.
# loses: test_best_on_probe

# %% solution="best_on_probe"
def best_on_probe(attend, n, d):
    out = attend(torch.randn(1, d, dtype=torch.float64).repeat(n, 1))
    apart = (out[:, None] - out[None]).abs().amax(-1)
    alike = (apart <= 1e-2 * out.abs().max()).sum(1).double()
    return float((1 / alike).mean()), float(alike.log().mean())
