# What comes after the gap is averaged away: the prior's own forward prediction.
# loses: test_missing_code

# %% solution="missing_code"
def missing_code(log_prob, idx, place, codes):
    later = idx.shape[1] - place - 1
    tails = torch.cartesian_prod(*[torch.arange(codes)] * later) if later else None
    tails = tails.view(-1, later) if later else torch.zeros(1, 0, dtype=torch.int64)
    out = []
    for row in idx:
        scores = []
        for code in range(codes):
            rows = row.repeat(len(tails), 1)
            rows[:, place] = code
            rows[:, place + 1 :] = tails
            scores.append(log_prob(rows).logsumexp(0))
        out.append(torch.stack(scores))
    return torch.stack(out).softmax(1)
