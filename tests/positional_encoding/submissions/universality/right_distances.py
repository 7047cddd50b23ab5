# All distances at once, in a norm that is larger than any entry.
# keeps: all

# %% solution="best_on_probe"
def best_on_probe(attend, n, d):
    token = torch.linspace(0.3, 1.7, d, dtype=torch.float64) ** 2
    out = attend(torch.outer(torch.ones(n, dtype=torch.float64), token))
    out = out / out.abs().max()
    alike = torch.cdist(out, out, compute_mode="donot_use_mm_for_euclid_dist") < 1e-9
    probability = alike / alike.sum(1, keepdim=True)
    return float(probability.diagonal().mean()), float(
        -probability.diagonal().log().mean()
    )
