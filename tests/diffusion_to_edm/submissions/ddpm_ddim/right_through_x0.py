# beta-tilde plus the uncertainty of x0 given x_t, by the tower rule.
# keeps: all

# %% solution="gaussian_reverse"
def gaussian_reverse(x, abar_t, abar_s, mean, variance):
    noise_t, noise_s, jump = 1 - abar_t, 1 - abar_s, 1 - abar_t / abar_s
    shrink = abar_t**0.5 * variance / (abar_t * variance + noise_t)
    x0 = mean + shrink * (x - abar_t**0.5 * mean)
    unsure = variance - shrink * abar_t**0.5 * variance
    from_data = abar_s**0.5 * jump / noise_t
    from_x = (abar_t / abar_s) ** 0.5 * noise_s / noise_t
    spread = noise_s / noise_t * jump + from_data**2 * unsure
    return from_data * x0 + from_x * x, float(spread)
