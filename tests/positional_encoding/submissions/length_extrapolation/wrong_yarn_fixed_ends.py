# The ends of LLaMA, whatever was asked for.
# loses: test_yarn_by_turns

# %% solution="yarn_by_turns"
def yarn_by_turns(inv_freq, s, length, alpha=1.0, beta=32.0):
    turns = length * inv_freq / (2 * math.pi)
    kept = ((turns - 1) / 31).clamp(0, 1)
    scaled = kept * inv_freq + (1 - kept) * inv_freq / s
    return scaled, float((0.1 * math.log(s) + 1) ** 2)
