# repeat copies.
# keeps: all

# %% solution="fill_padding"
def fill_padding(bias, padding, value):
    scores = bias.repeat(len(padding), 1, 1, 1)
    scores.masked_fill_(padding[:, None, None, :], value)
    return scores
