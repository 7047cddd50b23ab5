# A float32 buffer for every bias.
# loses: test_fill_padding

# %% solution="fill_padding"
def fill_padding(bias, padding, value):
    scores = torch.zeros(len(padding), *bias.shape) + bias.float()
    return scores.masked_fill(padding[:, None, None, :], value)
