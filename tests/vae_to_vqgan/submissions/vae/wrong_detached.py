# The variance is detached in the only place where it carries the gradient.
# loses: test_calibrated_loss_gradient

# %% solution="calibrated_loss"
def calibrated_loss(x, x_hat, mu, logvar, beta=1.0):
    d = x[0].numel()
    sigma2 = ((x - x_hat) ** 2).mean().detach()
    rec = 0.5 * d * (torch.log(2 * math.pi * sigma2) + 1)
    kl = 0.5 * (mu**2 + logvar.exp() - logvar - 1).sum(-1).mean()
    return {"sigma2": sigma2, "rec": rec, "kl": kl, "loss": rec + beta * kl}
