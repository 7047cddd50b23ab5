# The paper's convention: half the drift, half the noise.
# loses: test_annealed_variances

# %% solution="annealed_variances"
def annealed_variances(variance, sigmas, n_steps, eps, start):
    found, now = [], start
    for sigma in sigmas.tolist():
        alpha = eps * (sigma / sigmas[-1].item()) ** 2
        keep = (1 - alpha / 2 / (variance + sigma**2)) ** 2
        for _ in range(n_steps):
            now = keep * now + alpha
        found.append(now)
    return torch.tensor(found, dtype=torch.float64)
