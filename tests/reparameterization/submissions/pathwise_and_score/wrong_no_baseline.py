# Right on average, but 100 added to the values is 100 times the noise.
# loses: test_reinforce_loss

# %% solution="reinforce_loss"
def reinforce_loss(logits, words, values):
    of_words = logits.log_softmax(-1).gather(-1, words[..., None])[..., 0]
    return (values.detach() * of_words.sum(-1)).mean()
