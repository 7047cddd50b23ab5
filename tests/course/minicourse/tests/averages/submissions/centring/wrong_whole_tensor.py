# One mean for the whole tensor: right for one vector, wrong for a batch.
# loses: test_centre_backward

# %% solution="centre_backward"
def centre_backward(grad):
    return grad - grad.mean()
