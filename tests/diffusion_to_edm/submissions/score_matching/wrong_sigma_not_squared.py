# Steps proportional to sigma.
# loses: test_annealed_variances

# %% solution="annealed_variances"
def annealed_variances(variance, sigmas, n_steps, eps, start):
    found, now = [], start
    for sigma in sigmas.tolist():
        alpha = eps * (sigma / sigmas[-1].item())
        keep = (1 - alpha / (variance + sigma**2)) ** 2
        for _ in range(n_steps):
            now = keep * now + 2 * alpha
        found.append(now)
    return torch.tensor(found, dtype=torch.float64)
