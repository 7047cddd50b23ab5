# The values stay in the graph: their model is trained to please this number.
# loses: test_reinforce_loss

# %% solution="reinforce_loss"
def reinforce_loss(logits, words, values):
    advantages = values - (values.sum() - values) / (len(values) - 1)
    of_words = logits.log_softmax(-1).gather(-1, words[..., None])[..., 0]
    return (advantages * of_words.sum(-1)).mean()
