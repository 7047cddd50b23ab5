# Log-probabilities.
# loses: test_missing_code

# %% solution="missing_code"
def missing_code(log_prob, idx, place, codes):
    rows = idx.repeat_interleave(codes, 0)
    rows[:, place] = torch.arange(codes).repeat(len(idx))
    return log_prob(rows).view(len(idx), codes).log_softmax(1)
