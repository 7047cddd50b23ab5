# Without the bias of the steps: each level relaxes to its density.
# loses: test_annealed_variances

# %% solution="annealed_variances"
def annealed_variances(variance, sigmas, n_steps, eps, start):
    found, now = [], start
    for sigma in sigmas.tolist():
        alpha = eps * (sigma / sigmas[-1].item()) ** 2
        keep = (1 - alpha / (variance + sigma**2)) ** 2
        for _ in range(n_steps):
            now = keep * now + (1 - keep) * (variance + sigma**2)
        found.append(now)
    return torch.tensor(found, dtype=torch.float64)
