# repeat where repeat_interleave was meant: candidates and rows get mixed up.
# loses: test_missing_code

# %% solution="missing_code"
def missing_code(log_prob, idx, place, codes):
    rows = idx.repeat(codes, 1)
    rows[:, place] = torch.arange(codes).repeat(len(idx))
    return log_prob(rows).view(len(idx), codes).softmax(1)
