# All steps of all levels as one list, then a cumulative product.
# keeps: all

# %% solution="annealed_variances"
def annealed_variances(variance, sigmas, n_steps, eps, start):
    level = sigmas.double().repeat_interleave(n_steps)
    alpha = eps * (level / level[-1]) ** 2
    keep = (1 - alpha / (variance + level**2)) ** 2
    found, now = [], start
    for factor, noise in zip(keep.tolist(), (2 * alpha).tolist()):
        now = factor * now + noise
        found.append(now)
    return torch.tensor(found[n_steps - 1 :: n_steps], dtype=torch.float64)
