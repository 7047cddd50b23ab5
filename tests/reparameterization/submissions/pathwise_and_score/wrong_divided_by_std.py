# Divided by the group's standard deviation, as GRPO does.
# loses: test_reinforce_loss

# %% solution="reinforce_loss"
def reinforce_loss(logits, words, values):
    values = values.detach()
    advantages = (values - values.mean()) / (values.std() + 1e-6)
    of_words = logits.log_softmax(-1).gather(-1, words[..., None])[..., 0]
    return (advantages * of_words.sum(-1)).mean()
