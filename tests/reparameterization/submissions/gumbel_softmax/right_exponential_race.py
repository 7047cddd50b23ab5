# A race: -log(u) / p are arrival times, the first one wins.
# keeps: all

# %% solution="relaxed_sample"
def relaxed_sample(logits, u, tau, hard=False, dim=-1):
    wait = -u.clamp_min(torch.finfo(u.dtype).tiny).log()
    log_speed = (logits - wait.log()) / tau
    soft = (log_speed - log_speed.logsumexp(dim, keepdim=True)).exp()
    if hard:
        first = log_speed.argmax(dim, keepdim=True)
        onehot = torch.zeros_like(soft).scatter(dim, first, 1.0)
        return onehot - soft.detach() + soft
    return soft
