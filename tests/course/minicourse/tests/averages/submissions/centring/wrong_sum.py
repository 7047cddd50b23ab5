# Subtracts the sum instead of the mean.
# loses: test_centre_backward

# %% solution="centre_backward"
def centre_backward(grad):
    return grad - grad.sum(-1, keepdim=True)
