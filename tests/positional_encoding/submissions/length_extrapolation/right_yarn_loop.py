# Pair by pair, with the three cases spelt out and wavelengths for turns.
# keeps: all

# %% solution="yarn_by_turns"
def yarn_by_turns(inv_freq, s, length, alpha=1.0, beta=32.0):
    out = torch.empty_like(inv_freq)
    for i, theta in enumerate(inv_freq.tolist()):
        turns = length / (2 * math.pi / theta)
        if turns < alpha:
            out[i] = theta / s
        elif turns > beta:
            out[i] = theta
        else:
            share = (turns - alpha) / (beta - alpha)
            out[i] = theta / s + share * (theta - theta / s)
    return out, 1 + 0.2 * math.log(s) + 0.01 * math.log(s) ** 2
