# The given code, with a copy made after expanding.
# keeps: all

# %% solution="fill_padding"
def fill_padding(bias, padding, value):
    scores = bias.expand(len(padding), *bias.shape).clone()
    for b, hidden in enumerate(padding):
        scores[b, :, :, hidden] = value
    return scores
