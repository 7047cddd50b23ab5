# Channel 0 counts slowest, as in the reading order of a number.
# loses: test_fsq_codes

# %% solution="fsq_codes"
def fsq_codes(idx, levels):
    channels = []
    for n in reversed(levels):
        channels.insert(0, (idx % n - n // 2).double() / (n // 2))
        idx = idx // n
    return torch.stack(channels, -1)
