# A sentence at a time, and stacked.
# keeps: all

# %% solution="fill_padding"
def fill_padding(bias, padding, value):
    return torch.stack([bias.masked_fill(hidden, value) for hidden in padding])
