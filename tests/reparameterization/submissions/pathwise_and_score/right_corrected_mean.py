# The batch mean, and its factor n / (n - 1) put back.
# keeps: all

# %% solution="reinforce_loss"
def reinforce_loss(logits, words, values):
    n = len(values)
    with torch.no_grad():
        advantages = (values - values.mean()) * n / (n - 1)
    chosen = torch.distributions.Categorical(logits=logits)
    return (advantages[:, None] * chosen.log_prob(words)).sum() / n
