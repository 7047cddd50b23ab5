# A call for every candidate, and the normaliser subtracted in logs.
# keeps: all

# %% solution="missing_code"
def missing_code(log_prob, idx, place, codes):
    scores = []
    for code in range(codes):
        filled = [
            idx[:, :place],
            torch.full_like(idx[:, :1], code),
            idx[:, place + 1 :],
        ]
        scores.append(log_prob(torch.cat(filled, 1)))
    scores = torch.stack(scores, -1)
    return (scores - torch.logsumexp(scores, -1, keepdim=True)).exp()
