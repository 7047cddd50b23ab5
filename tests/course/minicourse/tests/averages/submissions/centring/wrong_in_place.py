# Right numbers, written over the argument.
# loses: test_centre_backward_unchanged

# %% solution="centre_backward"
def centre_backward(grad):
    grad -= grad.mean(-1, keepdim=True)
    return grad
