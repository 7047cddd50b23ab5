# True positives, false positives, false negatives, label by label.
# keeps: all

# %% solution="f_beta_loss"
def f_beta_loss(logits, y, beta):
    p = torch.sigmoid(logits)
    losses = []
    for c in range(y.shape[1]):
        if y[:, c].any():
            hit = (p[:, c] * y[:, c]).sum()
            wrong = (p[:, c] * (1 - y[:, c])).sum()
            missed = ((1 - p[:, c]) * y[:, c]).sum()
            top = (1 + beta**2) * hit
            losses.append(1 - top / (top + beta**2 * missed + wrong))
    if not losses:
        return torch.zeros((), dtype=logits.dtype)
    return torch.stack(losses).mean()
