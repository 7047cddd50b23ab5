# The closed form: a distance to the fixed point that shrinks.
# keeps: all

# %% solution="annealed_variances"
def annealed_variances(variance, sigmas, n_steps, eps, start):
    target = variance + sigmas.double() ** 2
    a = eps * (sigmas / sigmas[-1]) ** 2 / target
    rest = target / (1 - a / 2)
    found = torch.empty_like(rest)
    now = torch.tensor(start, dtype=torch.float64)
    for i, shrink in enumerate((1 - a) ** (2 * n_steps)):
        now = rest[i] + shrink * (now - rest[i])
        found[i] = now
    return found
