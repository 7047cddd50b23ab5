# Chosen element by element.
# keeps: all

# %% solution="fill_padding"
def fill_padding(bias, padding, value):
    return torch.where(padding[:, None, None, :], value, bias)
