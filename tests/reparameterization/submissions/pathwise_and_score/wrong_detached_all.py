# A number that reaches nothing.
# loses: test_reinforce_loss

# %% solution="reinforce_loss"
def reinforce_loss(logits, words, values):
    values = values.detach()
    advantages = values - (values.sum() - values) / (len(values) - 1)
    of_words = logits.detach().log_softmax(-1).gather(-1, words[..., None])[..., 0]
    return (advantages * of_words.sum(-1)).mean().requires_grad_()
