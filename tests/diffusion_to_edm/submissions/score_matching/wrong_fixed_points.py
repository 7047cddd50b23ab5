# Where each level would end, given time.
# loses: test_annealed_variances

# %% solution="annealed_variances"
def annealed_variances(variance, sigmas, n_steps, eps, start):
    found, now = [], start
    for sigma in sigmas.tolist():
        alpha = eps * (sigma / sigmas[-1].item()) ** 2
        keep = (1 - alpha / (variance + sigma**2)) ** 2
        now = 2 * alpha / (1 - keep)
        found.append(now)
    return torch.tensor(found, dtype=torch.float64)
