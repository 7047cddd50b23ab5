# F_i(t) = u F_i(T) inverted step by step in logarithms, a mask for the winner.
# keeps: all

# %% solution="given_winner"
def given_winner(logits, winner, u):
    k = logits.shape[-1]
    mine = torch.nn.functional.one_hot(winner.long(), k).bool()
    u_winner = u[mine].view(*winner.shape, 1)
    top = torch.logsumexp(logits, -1, keepdim=True) - torch.log(-torch.log(u_winner))
    log_cdf = torch.log(u) - torch.exp(logits - top)
    return torch.where(mine, top, logits - torch.log(-log_cdf))
