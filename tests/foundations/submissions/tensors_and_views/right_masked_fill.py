# Nothing is written in place.
# keeps: all

# %% solution="fill_padding"
def fill_padding(bias, padding, value):
    return bias.expand(len(padding), *bias.shape).masked_fill(
        padding[:, None, None, :], value
    )
