# Right answer, and the last candidate is left standing in idx.
# loses: test_missing_code

# %% solution="missing_code"
def missing_code(log_prob, idx, place, codes):
    scores = []
    for code in range(codes):
        idx[:, place] = code
        scores.append(log_prob(idx))
    return torch.stack(scores, 1).softmax(1)
