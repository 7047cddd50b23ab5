# All pairs of texts: half of (f_i - f_j)(log p_i - log p_j), averaged.
# keeps: all

# %% solution="reinforce_loss"
def reinforce_loss(logits, words, values):
    n, values = len(values), values.detach()
    texts = (
        -torch.nn.functional.cross_entropy(
            logits.flatten(0, 1), words.flatten(), reduction="none"
        )
        .view(n, -1)
        .sum(-1)
    )
    total = 0
    for i in range(n):
        for j in range(i):
            total = total + (values[i] - values[j]) * (texts[i] - texts[j])
    return total / (n * (n - 1))
