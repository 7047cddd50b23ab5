# Spreads all levels from -1 to 1: right for odd numbers of levels only.
# loses: test_fsq_codes

# %% solution="fsq_codes"
def fsq_codes(idx, levels):
    channels = []
    for n in levels:
        channels.append(2 * (idx % n).double() / (n - 1) - 1)
        idx = idx // n
    return torch.stack(channels, -1)
