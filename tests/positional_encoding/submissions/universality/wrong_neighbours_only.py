# Starts a new kind wherever two neighbours differ: kinds that return are missed.
# loses: test_best_on_probe

# %% solution="best_on_probe"
def best_on_probe(attend, n, d):
    out = attend(torch.randn(1, d, dtype=torch.float64).repeat(n, 1))
    step = (out[1:] - out[:-1]).abs().amax(-1) > 1e-9 * out.abs().max()
    kind = torch.cat((torch.zeros(1), step.double().cumsum(0)))
    alike = (kind[:, None] == kind).sum(1).double()
    return float((1 / alike).mean()), float(alike.log().mean())
