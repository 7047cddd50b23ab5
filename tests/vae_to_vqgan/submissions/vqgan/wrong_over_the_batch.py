# Normalised over the rows of the batch, not over the candidates.
# loses: test_missing_code

# %% solution="missing_code"
def missing_code(log_prob, idx, place, codes):
    rows = idx.repeat_interleave(codes, 0)
    rows[:, place] = torch.arange(codes).repeat(len(idx))
    return log_prob(rows).view(len(idx), codes).softmax(0)
