# Free draws, sorted so that the winner is largest.
# loses: test_given_winner

# %% solution="given_winner"
def given_winner(logits, winner, u):
    z = logits - (-u.log()).log()
    place = winner[..., None]
    best = z.argmax(-1, keepdim=True)
    largest = z.gather(-1, best)
    return z.scatter(-1, best, z.gather(-1, place)).scatter(-1, place, largest)
