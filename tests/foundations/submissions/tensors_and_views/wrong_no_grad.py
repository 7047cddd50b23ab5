# The write is allowed, and nothing is recorded.
# loses: test_fill_padding_gradient

# %% solution="fill_padding"
@torch.no_grad()
def fill_padding(bias, padding, value):
    scores = bias.expand(len(padding), *bias.shape).clone()
    scores.masked_fill_(padding[:, None, None, :], value)
    return scores
