# Divides whole numbers by whole numbers: everything between -1 and 1 is lost.
# loses: test_fsq_codes

# %% solution="fsq_codes"
def fsq_codes(idx, levels):
    channels = []
    for n in levels:
        channels.append(((idx % n - n // 2) // (n // 2)).double())
        idx = idx // n
    return torch.stack(channels, -1)
