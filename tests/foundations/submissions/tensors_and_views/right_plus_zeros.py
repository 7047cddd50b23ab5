# A sum makes memory of its own.
# keeps: all

# %% solution="fill_padding"
def fill_padding(bias, padding, value):
    scores = bias + torch.zeros(len(padding), 1, 1, 1, dtype=bias.dtype)
    scores[padding[:, None, None, :].expand_as(scores)] = value
    return scores
