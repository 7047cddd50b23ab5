# requires_grad is switched on again, on a copy that has nothing to do with the bias.
# loses: test_fill_padding_gradient

# %% solution="fill_padding"
def fill_padding(bias, padding, value):
    scores = bias.detach().expand(len(padding), *bias.shape).clone()
    scores.masked_fill_(padding[:, None, None, :], value)
    return scores.requires_grad_(bias.requires_grad)
