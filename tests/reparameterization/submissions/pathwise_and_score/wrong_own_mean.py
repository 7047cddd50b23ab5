# The mean of the batch, its own value included: shrinks by (n - 1) / n.
# loses: test_reinforce_loss

# %% solution="reinforce_loss"
def reinforce_loss(logits, words, values):
    advantages = (values - values.mean()).detach()
    of_words = logits.log_softmax(-1).gather(-1, words[..., None])[..., 0]
    return (advantages * of_words.sum(-1)).mean()
