# The density of a Normal, its variance outside the graph: at its best it has no slope.
# keeps: all

# %% solution="calibrated_loss"
def calibrated_loss(x, x_hat, mu, logvar, beta=1.0):
    sigma2 = (x - x_hat).square().mean()
    density = torch.distributions.Normal(x_hat, sigma2.detach().sqrt())
    rec = -density.log_prob(x).flatten(1).sum(1).mean()
    kl = 0.5 * (mu**2 + logvar.exp() - logvar - 1).sum(-1).mean()
    return {"sigma2": sigma2, "rec": rec, "kl": kl, "loss": rec + beta * kl}
