# One variance for each image instead of one for all.
# loses: test_calibrated_loss, test_calibrated_loss_gradient

# %% solution="calibrated_loss"
def calibrated_loss(x, x_hat, mu, logvar, beta=1.0):
    d = x[0].numel()
    each = ((x - x_hat) ** 2).flatten(1).mean(1)
    rec = (0.5 * d * (torch.log(2 * math.pi * each) + 1)).mean()
    sigma2 = each.mean()
    kl = 0.5 * (mu**2 + logvar.exp() - logvar - 1).sum(-1).mean()
    return {"sigma2": sigma2, "rec": rec, "kl": kl, "loss": rec + beta * kl}
