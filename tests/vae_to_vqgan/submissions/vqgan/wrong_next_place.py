# The gap one place too far to the right, at the end one too far to the left.
# loses: test_missing_code

# %% solution="missing_code"
def missing_code(log_prob, idx, place, codes):
    rows = idx.repeat_interleave(codes, 0)
    place = min(place + 1, idx.shape[1] - 1)
    rows[:, place] = torch.arange(codes).repeat(len(idx))
    return log_prob(rows).view(len(idx), codes).softmax(1)
