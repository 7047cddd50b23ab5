# D taken from the last axis alone: right for flat images.
# loses: test_calibrated_loss

# %% solution="calibrated_loss"
def calibrated_loss(x, x_hat, mu, logvar, beta=1.0):
    d = x.shape[-1]
    sigma2 = ((x - x_hat) ** 2).mean()
    rec = 0.5 * d * (torch.log(2 * math.pi * sigma2) + 1)
    kl = 0.5 * (mu**2 + logvar.exp() - logvar - 1).sum(-1).mean()
    return {"sigma2": sigma2, "rec": rec, "kl": kl, "loss": rec + beta * kl}
