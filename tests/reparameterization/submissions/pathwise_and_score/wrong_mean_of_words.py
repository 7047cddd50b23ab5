# The mean log-probability of the words: long texts count less.
# loses: test_reinforce_loss

# %% solution="reinforce_loss"
def reinforce_loss(logits, words, values):
    values = values.detach()
    advantages = values - (values.sum() - values) / (len(values) - 1)
    of_words = logits.log_softmax(-1).gather(-1, words[..., None])[..., 0]
    return (advantages * of_words.mean(-1)).mean()
