# Writes into the frequencies it was given.
# loses: test_yarn_by_turns

# %% solution="yarn_by_turns"
def yarn_by_turns(inv_freq, s, length, alpha=1.0, beta=32.0):
    turns = length * inv_freq / (2 * math.pi)
    kept = ((turns - alpha) / (beta - alpha)).clamp(0, 1)
    inv_freq.copy_(kept * inv_freq + (1 - kept) * inv_freq / s)
    return inv_freq, float((0.1 * math.log(s) + 1) ** 2)
