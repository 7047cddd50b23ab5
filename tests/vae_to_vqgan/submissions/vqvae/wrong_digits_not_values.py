# Returns the digits instead of the values they stand for.
# loses: test_fsq_codes

# %% solution="fsq_codes"
def fsq_codes(idx, levels):
    channels = []
    for n in levels:
        channels.append((idx % n).double())
        idx = idx // n
    return torch.stack(channels, -1)
