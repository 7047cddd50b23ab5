# The level of the first row serves for the whole batch.
# loses: test_step_with_data

# %% solution="step_with_data"
def step_with_data(x, x0, abar_t, abar_s, eta, noise):
    at, as_ = (abar_t[0], abar_s[0])
    eps = (x - at.sqrt() * x0) / (1 - at).sqrt()
    variance = eta**2 * (1 - as_) / (1 - at) * (1 - at / as_)
    direction = (1 - as_ - variance).clamp_min(0).sqrt()
    return as_.sqrt() * x0 + direction * eps + variance.clamp_min(0).sqrt() * noise
