# Balances the values of the losses, not what they do.
# loses: test_balance

# %% solution="balance"
def balance(losses, decoder, delta=1e-6, most=1e4):
    values = torch.stack(losses).abs()
    weights = (values[0] / (values + delta)).clamp(max=most).detach()
    weights[0] = 1.0
    return weights
