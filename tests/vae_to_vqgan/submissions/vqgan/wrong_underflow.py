# exp first, then normalised: 0 / 0 for a long row.
# loses: test_missing_code

# %% solution="missing_code"
def missing_code(log_prob, idx, place, codes):
    rows = idx.repeat_interleave(codes, 0)
    rows[:, place] = torch.arange(codes).repeat(len(idx))
    joint = log_prob(rows).view(len(idx), codes).exp()
    return joint / joint.sum(1, keepdim=True)
