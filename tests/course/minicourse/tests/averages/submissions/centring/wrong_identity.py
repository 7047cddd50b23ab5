# Forgets that every entry acts through the mean.
# loses: test_centre_backward

# %% solution="centre_backward"
def centre_backward(grad):
    return grad.clone()
