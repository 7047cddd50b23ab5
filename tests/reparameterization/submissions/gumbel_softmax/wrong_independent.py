# Losers as if nothing were known: some exceed the winner.
# loses: test_given_winner

# %% solution="given_winner"
def given_winner(logits, winner, u):
    place = winner[..., None]
    top = logits.logsumexp(-1, keepdim=True) - (-u.gather(-1, place).log()).log()
    below = logits - (-u.log()).log()
    return below.scatter(-1, place, top)
