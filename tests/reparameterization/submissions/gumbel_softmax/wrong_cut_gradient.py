# The largest value without a graph: its share of the gradient is lost.
# loses: test_given_winner

# %% solution="given_winner"
def given_winner(logits, winner, u):
    place = winner[..., None]
    top = (
        logits.logsumexp(-1, keepdim=True) - (-u.gather(-1, place).log()).log()
    ).detach()
    below = logits - ((logits - top).exp() - u.log()).log()
    return below.scatter(-1, place, top)
