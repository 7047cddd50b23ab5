# A loop over examples and samples of the log-weights.
# keeps: all

# %% solution="many_sample_bound"
def many_sample_bound(mu, logvar, noise, log_joint):
    z = mu + (0.5 * logvar).exp() * noise
    joint = log_joint(z)
    rows = []
    for k in range(len(noise)):
        row = []
        for b in range(len(mu)):
            d = z[k, b] - mu[b]
            log_q = -0.5 * (d**2 / logvar[b].exp() + logvar[b] + math.log(2 * math.pi))
            row.append(joint[k, b] - log_q.sum())
        rows.append(torch.stack(row))
    log_w = torch.stack(rows)
    total = torch.logsumexp(log_w, 0)
    return total - math.log(len(noise)), (log_w - total).exp()
