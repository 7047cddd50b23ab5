# No start token: the first code is given away.
# loses: test_sliding_log_likelihood

# %% solution="sliding_log_likelihood"
def sliding_log_likelihood(prior, idx, start, window):
    total = torch.zeros(len(idx))
    for t in range(1, idx.shape[1]):
        context = idx[:, max(0, t - window) : t]
        log_p = F.log_softmax(prior(context)[:, -1], -1)
        total = total + log_p.gather(1, idx[:, t : t + 1])[:, 0]
    return total
