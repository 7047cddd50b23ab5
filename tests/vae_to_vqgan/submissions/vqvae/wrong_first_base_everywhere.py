# Takes the first channel's number of levels as the base of all.
# loses: test_fsq_codes

# %% solution="fsq_codes"
def fsq_codes(idx, levels):
    channels = []
    for n in levels:
        channels.append((idx % levels[0] - n // 2).double() / (n // 2))
        idx = idx // levels[0]
    return torch.stack(channels, -1)
