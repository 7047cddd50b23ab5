# The last step goes to a little noise, as with set_alpha_to_one=False.
# loses: test_step_with_data

# %% solution="step_with_data"
def step_with_data(x, x0, abar_t, abar_s, eta, noise):
    at, as_ = (a.view(-1, *[1] * (x.dim() - 1)) for a in (abar_t, abar_s))
    as_ = as_.clamp_max(0.9999)
    eps = (x - at.sqrt() * x0) / (1 - at).sqrt()
    variance = eta**2 * (1 - as_) / (1 - at) * (1 - at / as_)
    direction = (1 - as_ - variance).clamp_min(0).sqrt()
    return as_.sqrt() * x0 + direction * eps + variance.clamp_min(0).sqrt() * noise
